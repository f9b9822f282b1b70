// Trees with keys and values, filled, searched and emptied in part.
function insert(tree, key, value) {
    if (!tree) return { key: key, value: value, left: null, right: null };
    if (key < tree.key) tree.left = insert(tree.left, key, value);
    else if (key > tree.key) tree.right = insert(tree.right, key, value);
    else tree.value = value;
    return tree;
}

function sum(tree) {
    return tree ? tree.value.count + sum(tree.left) + sum(tree.right) : 0;
}

var total = 0;
for (var turn = 0; turn < 12; turn++) {
    var tree = null;
    for (var i = 0; i < 6000; i++) {
        var key = "key " + (i * 7919 + turn) % 10007;
        tree = insert(tree, key, { count: i % 17, names: [key, "name " + i] });
    }
    total += sum(tree);
}
print(String(total));
