// Objects of one type: a pool that creates and destroys them, and a class whose `new` allocates from a pool.
//
//     c++ -std=c++17 objects.cpp $(pkg-config --cflags --libs millpond) -o objects
#include <iostream>
#include <memory>
#include <millpond.hpp>
#include <vector>

struct particle {
  float x, y;
  int steps_left;
};

// A tree whose nodes are created with `new` and owned by standard smart pointers: only the base class is added.
struct node : millpond::pooled<node> {
  explicit node(int it) : key(it) {}
  int key;
  std::unique_ptr<node> left, right;
};

void insert(std::unique_ptr<node>& tree, int key) {
  if (tree == nullptr) {
    tree = std::make_unique<node>(key);
  } else {
    insert(key < tree->key ? tree->left : tree->right, key);
  }
}

int sum(const node* tree) { return tree == nullptr ? 0 : sum(tree->left.get()) + tree->key + sum(tree->right.get()); }

int main() {
  millpond::object_pool<particle> pool;
  std::vector<particle*> sparks;
  for (int step = 0; step < 100; ++step) {
    for (int i = 0; i < 10; ++i) sparks.push_back(pool.create(particle{0.0f, static_cast<float>(i), 5 + i}));
    for (std::size_t i = 0; i < sparks.size();) {
      sparks[i]->x += 1.0f;
      if (--sparks[i]->steps_left > 0) {
        ++i;
      } else {
        pool.destroy(sparks[i]);
        sparks[i] = sparks.back();
        sparks.pop_back();
      }
    }
  }
  std::cout << "1000 sparks, " << pool.live() << " of them alive; chunks: " << pool.pool().stats().chunks << '\n';

  std::unique_ptr<node> tree;
  for (int i = 0; i < 1000; ++i) insert(tree, i * 7919 % 1000);
  std::cout << "a tree with the sum " << sum(tree.get()) << ", all of it in its pool: " << std::boolalpha
            << node::pool().owns(tree->right.get()) << '\n';
}
