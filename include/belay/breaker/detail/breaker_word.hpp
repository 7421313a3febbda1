// SPDX-License-Identifier: MIT
/// \file belay/breaker/detail/breaker_word.hpp
/// AtomicBreakerWord: the data that callers of a CircuitBreaker share without its lock.
#pragma once

#include <atomic>   // std::atomic
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t, std::uint32_t, std::uint64_t, std::uintptr_t

#include <belay/core/assert.hpp>
#include <belay/core/detail/this_thread.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// All that `acquire` needs about a breaker, and the number of consecutive failures while closed.
struct BreakerWord {
    enum class Gate : std::uint8_t {
        closed,   ///< permits without the lock; verdicts count
        guarded,  ///< permits and verdicts need the lock
        watched,  ///< permits without the lock; verdicts need it (metrics only)
        ignored   ///< permits without the lock; verdicts do not count (disabled)
    };

    std::uint32_t failures = 0;
    std::uint32_t generation = 0;  // 30 bits
    Gate gate = Gate::closed;

    [[nodiscard]] constexpr bool is(Gate g, std::uint32_t of) const noexcept {
        return gate == g && generation == of;
    }
    [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
        return std::uint64_t{failures} << 32 | std::uint64_t{generation} << 2 |
               static_cast<std::uint64_t>(gate);
    }
    [[nodiscard]] static constexpr BreakerWord unpacked(std::uint64_t bits) noexcept {
        return {static_cast<std::uint32_t>(bits >> 32), static_cast<std::uint32_t>(bits) >> 2,
                static_cast<Gate>(bits & 3U)};
    }
};

/// A BreakerWord that threads share.
///
/// Invariants:
/// - The gate and the generation change only under the breaker's lock. The generation changes with
///   every change of the core's generation.
/// - The failure count changes by `replace` while closed, and is 0 otherwise.
///
/// A successful `replace` proves that nothing has changed since the load. So concurrent failures
/// and successes take effect in exactly one order, and exactly one failure opens the breaker. The
/// word publishes no other data (the rest is read under the lock), so relaxed order is enough.
class AtomicBreakerWord {
public:
    [[nodiscard]] BreakerWord load() const noexcept {
        return BreakerWord::unpacked(bits_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] bool is(BreakerWord word) const noexcept {
        return bits_.load(std::memory_order_relaxed) == word.packed();
    }
    void store(BreakerWord word) noexcept { bits_.store(word.packed(), std::memory_order_relaxed); }
    /// Replaces `word` by `next`, or reloads `word` and returns false. May fail spuriously.
    [[nodiscard]] bool replace(BreakerWord& word, BreakerWord next) noexcept {
        std::uint64_t seen = word.packed();
        const bool replaced =
            bits_.compare_exchange_weak(seen, next.packed(), std::memory_order_relaxed);
        if (!replaced) word = BreakerWord::unpacked(seen);
        return replaced;
    }

private:
    std::atomic<std::uint64_t> bits_{0};
};

/// Counts the successes of a closed breaker.
///
/// The first thread that comes to a line owns it, and writes nothing that threads share. A thread
/// whose line has an owner shares it, so the sum is exact for any number of threads. After its
/// thread has ended, a line belongs to the next thread at its address.
/// Thread safety: any thread.
class SuccessCount {
public:
    void add() noexcept {
        const void* const me = this_thread();
        // The addresses of threads differ by their stacks, and those by a guard page at least.
        Line& line = lines_[reinterpret_cast<std::uintptr_t>(me) >> 12U & (count - 1)];
        if (line.owner.load(std::memory_order_relaxed) != me) return add_shared(line, me);
        const std::uint64_t seen = line.of_owner.load(std::memory_order_relaxed);
        line.of_owner.store(seen + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t read() const noexcept {
        std::uint64_t sum = 0;
        for (const Line& line : lines_) {
            sum += line.of_owner.load(std::memory_order_relaxed) +
                   line.of_others.load(std::memory_order_relaxed);
        }
        return sum;
    }

private:
    static constexpr std::size_t count = 8;
    struct alignas(64) Line {
        std::atomic<const void*> owner{nullptr};
        std::atomic<std::uint64_t> of_owner{0};
        std::atomic<std::uint64_t> of_others{0};
    };
    [[gnu::cold, gnu::noinline]] static void add_shared(Line& line, const void* me) noexcept {
        const void* none = nullptr;
        line.owner.compare_exchange_strong(none, me, std::memory_order_relaxed);
        line.of_others.fetch_add(1, std::memory_order_relaxed);
    }

    Line lines_[count];
};

/// The number of outstanding permits. Counted in checked builds only, because it costs a shared
/// write.
class PermitCount {
public:
#if BELAY_ASSERTIONS
    void take() noexcept { out_.fetch_add(1, std::memory_order_relaxed); }
    void give_back() noexcept { out_.fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] bool all_back() const noexcept {
        return out_.load(std::memory_order_relaxed) == 0;
    }

private:
    std::atomic<std::uint64_t> out_{0};
#else
    void take() noexcept {}
    void give_back() noexcept {}
    [[nodiscard]] bool all_back() const noexcept { return true; }
#endif
};

}}}  // namespace belay::detail
