-- A parser of expressions and an evaluator of their trees.
local function parse(text)
    local at = 1
    local expression
    local function skip() at = text:find("%S", at) or #text + 1 end
    local function atom()
        skip()
        if text:sub(at, at) == "(" then
            at = at + 1
            local inside = expression()
            skip()
            at = at + 1
            return inside
        end
        local first, last = text:find("^[%w_]+", at)
        at = last + 1
        local word = text:sub(first, last)
        return tonumber(word) and {kind = "number", value = tonumber(word)} or {kind = "name", name = word}
    end
    function expression()
        local left = atom()
        skip()
        while at <= #text and text:find("^[%+%*%-]", at) do
            local sign = text:sub(at, at)
            at = at + 1
            left = {kind = "binary", sign = sign, left = left, right = atom()}
            skip()
        end
        return left
    end
    return expression()
end

local function value(tree, names)
    if tree.kind == "number" then return tree.value end
    if tree.kind == "name" then return names[tree.name] or 0 end
    local left, right = value(tree.left, names), value(tree.right, names)
    if tree.sign == "+" then return (left + right) % 1000003 end
    if tree.sign == "-" then return (left - right) % 1000003 end
    return left * right % 1000003
end

local texts, kept, sum = {}, {}, 0
for i = 1, 40000 do
    texts[i] = "(a" .. i % 97 .. " + " .. i .. ") * (b" .. i % 89 .. " - 3) + c" .. i % 7
end
for turn = 1, 3 do
    for i = 1, #texts do
        local tree = parse(texts[i])
        sum = sum + value(tree, {["a" .. i % 97] = i, ["b" .. i % 89] = turn, c1 = 5})
        if (i + turn) % 3 == 0 then kept[i] = tree end
    end
end
print(sum)
