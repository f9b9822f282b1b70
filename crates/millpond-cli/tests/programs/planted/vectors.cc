// Containers of the standard library that grow, and some that know their size.
#include "planted.h"
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Row {
    int values[6];
};

/* Every page has 100 rows, give or take three. */
SITE static std::vector<Row> page() {
    std::vector<Row> rows;
    int end = 100 - below(3);
    for (int at = 0; at < end; at++)
        rows.push_back(Row{{at}});
    return rows;
}

/* Knows its size. */
SITE static std::vector<int> vertex() {
    std::vector<int> values(12);
    values[0] = below(100);
    return values;
}

SITE static void remember(std::map<int, int> &map, int key) {
    map[key] = key;
}

/* Names that are longer than what a string has room for in itself, and of any length. */
SITE static std::unique_ptr<std::string> label() {
    return std::make_unique<std::string>(20 + (std::size_t)below(300), 'x');
}

SITE static void enqueue(std::list<long> &queue, long value) {
    queue.push_back(value);
}

int main(int count, char **arguments) {
    start(count, arguments);
    std::vector<std::vector<Row>> pages(40);
    std::vector<std::vector<int>> vertices(3000);
    std::vector<std::unique_ptr<std::string>> labels(1000);
    std::map<int, int> map;
    std::list<long> queue;
    for (int at = 0; at < amount; at++) {
        if (at % 8 == 0)
            pages[(std::size_t)below(40)] = page();
        vertices[(std::size_t)below(3000)] = vertex();
        labels[(std::size_t)below(1000)] = label();
        int key = below(2000);
        if (map.size() < 1500)
            remember(map, key);
        else
            map.erase(map.begin());
        enqueue(queue, at);
        if (queue.size() > 300)
            queue.pop_front();
    }
    return map.size() == 1;
}
