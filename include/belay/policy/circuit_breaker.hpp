// SPDX-License-Identifier: MIT
/// \file belay/policy/circuit_breaker.hpp
/// CircuitBreaker: one breaker for many callers and threads.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t, std::uint64_t
#include <utility>  // std::exchange

#include <belay/core/clock_like.hpp>
#include <belay/core/spin_mutex.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/policy/breaker.hpp>

namespace belay::inline BELAY_ABI {

/// Breaker's behaviour as an object that callers share. Pinned; must outlive its permits.
///
///     CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
///     if (auto permit = breaker.acquire()) { ask(peer) ? permit.success() : permit.failure(); }
///
/// A permit that is dropped counts as neutral. A verdict on a permit from before the last change of
/// state is void: calls that were under way when the breaker opened must not close or reopen it.
///
/// Thread safety: any thread.
/// Blocks:        never while closed; otherwise for a few instructions of another caller.
/// Complexity:    O(1). While closed, a call that succeeds writes nothing that is shared, and reads
///                no clock.
template <class Clock = SteadyClock>
class CircuitBreaker {
    // Not a constraint: the compilers' words for a failed one would hide the sentence.
    static_assert(explain_clock_like<Clock>());

public:
    static constexpr std::string_view name = "CircuitBreaker";

    /// The right to make one call, and the duty to say how it went.
    ///
    /// Only the first verdict counts; on a refused, moved-from or finished permit every verdict is
    /// a no-op.
    /// Thread safety: distinct objects safe; the verdict may come from any thread.
    class [[nodiscard]] Permit {
    public:
        /// Refused, and never to be asked.
        constexpr Permit() noexcept = default;
        constexpr Permit(Permit&& other) noexcept
            : breaker_{std::exchange(other.breaker_, nullptr)},
              generation_{other.generation_},
              retry_at_{other.retry_at_} {}
        constexpr Permit& operator=(Permit&& other) noexcept {
            if (this != &other) {
                neutral();
                breaker_ = std::exchange(other.breaker_, nullptr);
                generation_ = other.generation_;
                retry_at_ = other.retry_at_;
            }
            return *this;
        }
        constexpr ~Permit() { neutral(); }

        /// Whether the call may be made (and has had no verdict yet).
        [[nodiscard]] constexpr explicit operator bool() const noexcept {
            return breaker_ != nullptr;
        }
        /// When a refused caller may ask again.
        [[nodiscard]] constexpr Instant retry_at() const noexcept { return retry_at_; }
        /// The same as an opinion: `go`, or `suspend`.
        [[nodiscard]] constexpr Advice advice() const noexcept {
            return breaker_ != nullptr ? Advice::go() : Advice::suspend(retry_at_);
        }

        /// The call worked.
        void success() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->on_success(generation_);
            }
        }
        void success(Turn&) noexcept { success(); }
        /// The call failed, now by the breaker's own clock.
        void failure() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->on_failure(generation_, [breaker] { return breaker->clock_.now(); });
            }
        }
        /// The call failed, now by the caller's turn; what the breaker says next.
        Advice failure(Turn& turn) noexcept {
            auto* const breaker = std::exchange(breaker_, nullptr);
            if (breaker == nullptr) return Advice::go();
            breaker->on_failure(generation_, [&turn] { return turn.now; });
            return breaker->admit(turn.now);
        }
        /// The call was not made, or its outcome says nothing about the peer.
        constexpr void neutral() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->on_neutral(generation_);
            }
        }

    private:
        friend class CircuitBreaker;
        constexpr Permit(CircuitBreaker* owner, std::uint32_t generation) noexcept
            : breaker_{owner}, generation_{generation} {}
        constexpr explicit Permit(Instant retry_at) noexcept : retry_at_{retry_at} {}

        CircuitBreaker* breaker_ = nullptr;
        std::uint32_t generation_ = 0;
        Instant retry_at_ = never;
    };

    constexpr CircuitBreaker(ConsecutiveFailures trip, OpenFor open_for, Clock clock = {}) noexcept
        : limit_{trip.limit()}, open_for_{open_for.wait()}, clock_{clock} {}
    CircuitBreaker(const CircuitBreaker&) = delete;
    CircuitBreaker& operator=(const CircuitBreaker&) = delete;

    /// Asks to make a call now, by the breaker's own clock.   Errors: a refused permit.
    Permit acquire() noexcept {
        const Word word = load();
        return word.mode == Mode::closed ? Permit{this, word.generation} : probe(clock_.now());
    }
    /// Asks to make a call at the turn's time.   Errors: a refused permit.
    Permit acquire(Turn& turn) noexcept {
        const Word word = load();
        return word.mode == Mode::closed ? Permit{this, word.generation} : probe(turn.now);
    }

    /// Would a call at `now` be let through? Takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        if (load().mode == Mode::closed) return Advice::go();
        const SpinLock lock{mutex_};
        return admit_locked(load().mode, now);
    }

    [[nodiscard]] BreakerState state(Instant now) const noexcept {
        if (load().mode == Mode::closed) return BreakerState::closed;
        const SpinLock lock{mutex_};
        const Mode mode = load().mode;
        if (mode == Mode::closed) return BreakerState::closed;
        const bool half_open = mode == Mode::probing || now >= open_until_;
        return half_open ? BreakerState::half_open : BreakerState::open;
    }
    /// The same by the breaker's own clock.
    [[nodiscard]] BreakerState state() const noexcept {
        return load().mode == Mode::closed ? BreakerState::closed : state(clock_.now());
    }

private:
    enum class Mode : std::uint8_t { closed, open, probing };

    // All that matters while closed, in one atomic word. Invariant: the mode and the generation
    // change only under mutex_, each change of mode with a new generation; the count of failures
    // changes by compare-and-swap while closed, and is 0 otherwise. Nothing is published through
    // the word (open_until_ is read under mutex_), so relaxed order is enough.
    struct Word {
        std::uint32_t failures;
        std::uint32_t generation;  // 30 bits
        Mode mode;

        [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
            return std::uint64_t{failures} << 32 | std::uint64_t{generation & 0x3FFFFFFFU} << 2 |
                   static_cast<std::uint64_t>(mode);
        }
        [[nodiscard]] static constexpr Word unpacked(std::uint64_t bits) noexcept {
            return {static_cast<std::uint32_t>(bits >> 32),
                    static_cast<std::uint32_t>(bits >> 2) & 0x3FFFFFFFU,
                    static_cast<Mode>(bits & 3U)};
        }
        [[nodiscard]] constexpr Word changed_to(Mode next) const noexcept {
            return {0, (generation + 1) & 0x3FFFFFFFU, next};
        }
        [[nodiscard]] constexpr bool is(Mode m, std::uint32_t g) const noexcept {
            return mode == m && generation == g;
        }
    };

    [[nodiscard]] Word load() const noexcept {
        return Word::unpacked(word_.load(std::memory_order_relaxed));
    }
    void store(Word word) noexcept { word_.store(word.packed(), std::memory_order_relaxed); }
    // Reloads `word` if somebody was faster.
    [[nodiscard]] bool replace(Word& word, Word next) noexcept {
        std::uint64_t seen = word.packed();
        const bool replaced =
            word_.compare_exchange_weak(seen, next.packed(), std::memory_order_relaxed);
        if (!replaced) word = Word::unpacked(seen);
        return replaced;
    }

    [[nodiscard]] Advice admit_locked(Mode mode, Instant now) const noexcept {
        if (mode == Mode::closed) return Advice::go();
        if (mode == Mode::probing) return Advice::suspend(after(now, breaker_recheck));
        return now >= open_until_ ? Advice::go() : Advice::suspend(open_until_);
    }

    [[nodiscard]] Permit probe(Instant now) noexcept {
        const SpinLock lock{mutex_};
        const Word word = load();
        const Advice advice = admit_locked(word.mode, now);
        if (advice.verb != Verb::go) return Permit{advice.until};
        if (word.mode == Mode::closed) return Permit{this, word.generation};
        const Word probing = word.changed_to(Mode::probing);
        store(probing);
        return Permit{this, probing.generation};
    }

    void on_success(std::uint32_t generation) noexcept {
        Word word = load();
        while (word.is(Mode::closed, generation)) {
            if (word.failures == 0) return;
            if (replace(word, {0, generation, Mode::closed})) return;
        }
        if (word.is(Mode::probing, generation)) finish_probe(generation, Mode::closed);
    }

    void on_neutral(std::uint32_t generation) noexcept {
        // The open wait is over already, so the next caller may probe at once.
        if (load().is(Mode::probing, generation)) finish_probe(generation, Mode::open);
    }

    template <class Now>
    void on_failure(std::uint32_t generation, Now now) noexcept {
        Word word = load();
        while (word.is(Mode::closed, generation)) {
            if (word.failures + 1 < limit_) {
                if (replace(word, {word.failures + 1, generation, Mode::closed})) return;
            } else if (open(word, after(now(), open_for_))) {
                return;
            }
        }
        if (!word.is(Mode::probing, generation)) return;
        const Instant until = after(now(), open_for_);
        finish_probe(generation, Mode::open, &until);
    }

    // Opens the breaker if it is still as `word` says; else reloads `word`.
    [[nodiscard]] bool open(Word& word, Instant until) noexcept {
        const SpinLock lock{mutex_};
        // Somebody may have opened it before we had the lock: open_until_ is theirs then.
        const Word now = load();
        if (now.packed() != word.packed()) {
            word = now;
            return false;
        }
        open_until_ = until;
        return replace(word, word.changed_to(Mode::open));
    }

    void finish_probe(std::uint32_t generation, Mode next,
                      const Instant* until = nullptr) noexcept {
        const SpinLock lock{mutex_};
        const Word word = load();
        if (!word.is(Mode::probing, generation)) return;
        if (until != nullptr) open_until_ = *until;
        store(word.changed_to(next));
    }

    std::atomic<std::uint64_t> word_{0};
    const std::uint32_t limit_;
    mutable SpinMutex mutex_;
    Instant open_until_ = always;
    const Duration open_for_;
    [[no_unique_address]] Clock clock_;
};

CircuitBreaker(ConsecutiveFailures, OpenFor) -> CircuitBreaker<SteadyClock>;
template <class Clock>
CircuitBreaker(ConsecutiveFailures, OpenFor, Clock) -> CircuitBreaker<Clock>;

}  // namespace belay::inline BELAY_ABI
