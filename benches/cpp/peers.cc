// The pools of C++ that Millpond's are compared with: boost::pool and the memory resources of the standard library.
//
// The loops are here and not in Rust, so that the compiler sees both the loop and the pool, as it does for the others.
// Blocks are of 64 bytes.

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <utility>
#include <vector>

#if __has_include(<boost/pool/pool.hpp>)
#include <boost/pool/pool.hpp>
#define HAS_BOOST 1
#endif

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace {

constexpr std::size_t size = 64;
constexpr std::size_t batch = 10'000;
constexpr std::size_t live = 100'000;

// Hides a value from the compiler.
template <class T> void hide(T &value) { asm volatile("" : "+r"(value) : : "memory"); }

// Marsaglia's xorshift.
struct Random {
    std::uint64_t state = 1;
    std::size_t below(std::size_t bound) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return ((state >> 32) * bound) >> 32;
    }
};

// The current time in the processor's own unit, ordered after all earlier and before all later instructions.
std::uint64_t now() {
#if defined(__x86_64__)
    _mm_lfence();
    std::uint64_t time = __rdtsc();
    _mm_lfence();
    return time;
#else
    return 0;
#endif
}

struct Peer {
    virtual ~Peer() = default;
    virtual void *take() = 0;
    virtual void give(void *) = 0;
    virtual std::size_t pair(std::size_t pairs) = 0;
    virtual std::size_t lifo(std::size_t pairs) = 0;
    virtual std::size_t fifo(std::size_t pairs) = 0;
    virtual std::size_t churn(std::size_t pairs) = 0;
    virtual void latency(std::uint32_t *ticks, std::size_t pairs) = 0;
};

// All workloads for a pool that has `allocate` and `free`, neither of which is virtual.
template <class Pool> struct Uses final : Peer {
    Pool pool;
    std::vector<void *> blocks;
    Random random;

    void *take() override { return pool.allocate(); }
    void give(void *block) override { pool.free(block); }

    std::size_t pair(std::size_t pairs) override {
        for (std::size_t i = 0; i < pairs; ++i) {
            void *block = pool.allocate();
            hide(block);
            pool.free(block);
        }
        return pairs;
    }

    void fill(std::size_t count) {
        blocks.resize(count);
        for (void *&block : blocks) block = pool.allocate();
    }

    std::size_t lifo(std::size_t pairs) override {
        std::size_t batches = (pairs + batch - 1) / batch;
        for (std::size_t i = 0; i < batches; ++i) {
            fill(batch);
            for (std::size_t at = batch; at-- > 0;) pool.free(blocks[at]);
        }
        return batches * batch;
    }

    std::size_t fifo(std::size_t pairs) override {
        std::size_t batches = (pairs + batch - 1) / batch;
        for (std::size_t i = 0; i < batches; ++i) {
            fill(batch);
            for (void *block : blocks) pool.free(block);
        }
        return batches * batch;
    }

    std::size_t churn(std::size_t pairs) override {
        if (blocks.size() != live) fill(live);
        for (std::size_t i = 0; i < pairs; ++i) {
            void *&place = blocks[random.below(live)];
            pool.free(std::exchange(place, pool.allocate()));
        }
        return pairs;
    }

    void latency(std::uint32_t *ticks, std::size_t pairs) override {
        fill(live);
        for (std::size_t i = 0; i < pairs; ++i) {
            void *&place = blocks[random.below(live)];
            void *block = place;
            hide(block);
            std::uint64_t first = now();
            pool.free(block);
            std::uint64_t second = now();
            place = pool.allocate();
            hide(place);
            std::uint64_t third = now();
            ticks[2 * i] = static_cast<std::uint32_t>(second - first);
            ticks[2 * i + 1] = static_cast<std::uint32_t>(third - second);
        }
    }
};

struct Resource {
    std::pmr::unsynchronized_pool_resource pool;
    void *allocate() { return pool.allocate(size); }
    void free(void *block) { pool.deallocate(block, size); }
};

#ifdef HAS_BOOST
struct Boost {
    boost::pool<> pool{size};
    void *allocate() { return pool.malloc(); }
    void free(void *block) { pool.free(block); }
};
#endif

} // namespace

extern "C" {

// 0: boost::pool, null if it is not installed. 1: std::pmr::unsynchronized_pool_resource.
Peer *peer_new(int which) {
#ifdef HAS_BOOST
    if (which == 0) return new Uses<Boost>;
#endif
    return which == 1 ? new Uses<Resource> : nullptr;
}

void peer_drop(Peer *peer) { delete peer; }
void *peer_take(Peer *peer) { return peer->take(); }
void peer_give(Peer *peer, void *block) { peer->give(block); }
std::size_t peer_pair(Peer *peer, std::size_t pairs) { return peer->pair(pairs); }
std::size_t peer_lifo(Peer *peer, std::size_t pairs) { return peer->lifo(pairs); }
std::size_t peer_fifo(Peer *peer, std::size_t pairs) { return peer->fifo(pairs); }
std::size_t peer_churn(Peer *peer, std::size_t pairs) { return peer->churn(pairs); }
void peer_latency(Peer *peer, std::uint32_t *ticks, std::size_t pairs) { peer->latency(ticks, pairs); }

// Allocates blocks of these sizes from a monotonic_buffer_resource and releases it, this many times.
void peer_monotonic(const std::size_t *sizes, std::size_t count, std::size_t rounds) {
    static std::vector<std::byte> buffer(1 << 16);
    std::pmr::monotonic_buffer_resource arena(buffer.data(), buffer.size());
    for (std::size_t round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < count; ++i) {
            void *block = arena.allocate(sizes[i], 8);
            hide(block);
        }
        arena.release();
    }
}

// The same, with the ticks of every operation, of which there are `most`.
void peer_monotonic_latency(const std::size_t *sizes, std::size_t count, std::uint32_t *ticks, std::size_t most) {
    static std::vector<std::byte> buffer(1 << 16);
    std::pmr::monotonic_buffer_resource arena(buffer.data(), buffer.size());
    for (std::size_t done = 0; done < most; ++done) {
        std::size_t which = done % (count + 1);
        std::uint64_t first = now();
        if (which == count) {
            arena.release();
        } else {
            void *block = arena.allocate(sizes[which], 8);
            hide(block);
        }
        ticks[done] = static_cast<std::uint32_t>(now() - first);
    }
}
}
