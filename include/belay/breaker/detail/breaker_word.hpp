// SPDX-License-Identifier: MIT
/// \file belay/breaker/detail/breaker_word.hpp
/// AtomicBreakerWord: what callers of a CircuitBreaker share without its lock.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint8_t, std::uint32_t, std::uint64_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// All that `acquire` needs to know of a breaker, and the failures in a row of a closed one.
struct BreakerWord {
    enum class Gate : std::uint8_t {
        closed,   ///< permits are free; verdicts count
        guarded,  ///< permits and verdicts under the lock
        watched,  ///< permits are free; verdicts under the lock (metrics only)
        ignored   ///< permits are free; verdicts do not count (disabled)
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

/// The word, shared.
///
/// Invariant: gate and generation change only under the breaker's lock, the generation with every
/// change of the core's; the failures change by `replace` while closed, and are 0 otherwise. A word
/// that is replaced proves that nothing has changed since it was loaded, so of any failures and
/// successes exactly one order takes effect, and exactly one failure opens. Nothing else is
/// published through the word (the rest is read under the lock), so relaxed order is enough.
class AtomicBreakerWord {
public:
    [[nodiscard]] BreakerWord load() const noexcept {
        return BreakerWord::unpacked(bits_.load(std::memory_order_relaxed));
    }
    void store(BreakerWord word) noexcept { bits_.store(word.packed(), std::memory_order_relaxed); }
    /// Whether it was `word` and is `next` now; else reloads `word`. May fail for no reason.
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

/// How many permits are out; counted in checked builds only, where it costs a shared write.
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
