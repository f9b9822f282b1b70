// A list of nodes in a pool of eight, from back to front; then the pool is exhausted.
#include "common/logging.hpp"
#include "memory_pool/fixed_block_memory_pool.hpp"

#include <iostream>
#include <new>
#include <stdexcept>

using memory_pool::FixedBlockMemoryPool;

struct Node {
    int value;
    Node* next;
};

// The example of the module's description, unchanged.
static void usage() {
    FixedBlockMemoryPool pool(sizeof(Node), 8);

    void* raw = pool.allocate();
    Node* n = new (raw) Node{42, nullptr};

    LOG_DEBUG("Allocated node");

    n->~Node();
    pool.deallocate(n);

    LOG_INFO("Returned block to pool");

    common::set_log_level(common::LogLevel::Warn);
    int evaluated = 0;
    LOG_INFO("number " << ++evaluated);
    LOG_WARN("number " << ++evaluated << " is the first");
    common::set_log_level(common::LogLevel::Error);
    LOG_WARN("number " << ++evaluated);
    LOG_ERROR("and the last");
    common::set_log_level(common::LogLevel::Off);
    LOG_ERROR("number " << ++evaluated);
    common::set_log_level(common::LogLevel::Debug);
}

int main() {
    usage();

    FixedBlockMemoryPool pool(sizeof(Node), 8);
    std::cout << "Block size: " << pool.block_size() << " bytes\n";
    std::cout << "Capacity  : " << pool.capacity() << " blocks\n";

    Node* head = nullptr;
    for (int i = 0; i < 5; i++) {
        void* raw = pool.allocate();
        auto* node = new (raw) Node{i, head};
        head = node;
    }
    while (head != nullptr) {
        std::cout << "Node value = " << head->value << "\n";
        Node* next = head->next;
        head->~Node();
        pool.deallocate(head);
        head = next;
    }
    std::cout << "All nodes destroyed and deallocated back to the pool.\n";

    void* blocks[8];
    for (void*& block : blocks) block = pool.allocate();
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < i; j++) {
            const auto* one = static_cast<char*>(blocks[i]);
            const auto* other = static_cast<char*>(blocks[j]);
            if ((one > other ? one - other : other - one) < static_cast<std::ptrdiff_t>(sizeof(Node))) return 1;
        }
    }
    try {
        (void)pool.allocate();
        return 1;
    } catch (const std::bad_alloc& error) {
        std::cout << "exhausted: " << error.what() << "\n";
    }
    pool.deallocate(blocks[5]);
    pool.deallocate(blocks[2]);
    std::cout << "last freed first: " << (pool.allocate() == blocks[2] && pool.allocate() == blocks[5]) << "\n";

    FixedBlockMemoryPool small(3, 4);
    std::cout << "small: " << small.block_size() << " " << (small.allocate() != small.allocate()) << "\n";
    for (const std::size_t size : {16, 0}) {
        try {
            FixedBlockMemoryPool none(size, size == 0 ? 16 : 0);
            return 1;
        } catch (const std::invalid_argument& error) {
            std::cout << error.what() << "\n";
        }
    }
    FixedBlockMemoryPool odd(20, 4);
    std::cout << "rounded: " << odd.block_size() << "\n";
    try {
        FixedBlockMemoryPool endless(static_cast<std::size_t>(-1) / 4, 16);
        return 1;
    } catch (const std::bad_alloc&) {
        std::cout << "no such memory\n";
    }
    return 0;
}
