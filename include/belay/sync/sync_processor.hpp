// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_processor.hpp
/// SyncProcessor: brings operations that were made elsewhere into a store, once, in order, with
/// every conflict accounted for.
#pragma once

#include <functional>   // std::reference_wrapper
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::forward, std::move
#include <vector>       // std::vector

#include <belay/call/retry.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/sync/detail/sync_engine.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

struct SyncProcessorAccess;

// A store that is named, and neither referred to nor moved.
template <class S>
inline constexpr bool copies_a_store =
    std::is_lvalue_reference_v<S> && !Reference<std::remove_cvref_t<S>>;

[[nodiscard]] inline Duration elapsed_wall(WallTime since, WallTime now) noexcept {
    return elapsed(Instant{since.time_since_epoch()}, Instant{now.time_since_epoch()});
}

}  // namespace detail

/// Applies operations to a store by the table of conflicts, docs/offline-first.md.
///
///     SyncProcessor processor{std::ref(store), LastWriteWins{}};
///     SyncResult result = processor.process_batch("session-1", operations);
///
/// Each operation is applied once, in the order of its batch as far as its element goes: while one
/// waits to be tried again, those after it on the same element wait, too. What was decided, applied
/// or not, is known by its id, and is not judged again: a batch that was interrupted is sent again
/// as a whole. Decided conflicts are never tried again. Synced, conflicts and failed ones are all
/// there were.
///
/// What is pending, an update before its Add (`upsert_updates`) or what a strategy left so, is a
/// conflict that is not resolved. It is in this object's memory only, and its id is not remembered:
/// whoever sent it keeps it. It is judged again when an Add or Remove of its element takes effect,
/// or when it is sent again; then only the observer hears of it.
///
/// Thread safety: one thread at a time; not from its own observer, strategy or store.
/// Allocates:     yes.
template <class Store, class Strategy, class Observer = NoObserver,
          WallClockLike WallClock = SystemClock>
class SyncProcessor {
    using TheStore = detail::Unwrapped<Store>;
    static_assert(explain::store_like<TheStore>());

public:
    using operation_type = typename TheStore::operation_type;
    using value_type = typename operation_type::value_type;

    /// The store by `std::ref`, or moved in: a named one is never copied.
    /// Pre: options.transaction_operations > 0; options.skew_max >= 0ns.
    template <class S>
        requires std::constructible_from<Store, S>
    explicit SyncProcessor(S&& store, Strategy strategy, SyncOptions options = {},
                           Observer observer = {}, WallClock clock = {})
        : store_{std::forward<S>(store)},
          strategy_{std::move(strategy)},
          options_{options},
          observer_{std::move(observer)},
          clock_{std::move(clock)} {
        static_assert(!detail::copies_a_store<S>,
                      "SyncProcessor: a named store is not copied: std::ref(store), or "
                      "std::move(store)");
        static_assert(explain::strategy_like<Strategy, operation_type>());
        static_assert(detail::explain_observer<detail::SyncHooks<operation_type>, Observer>());
        BELAY_PRECONDITION(options.transaction_operations > 0,
                           "SyncProcessor: transaction_operations must be above 0");
        BELAY_PRECONDITION(options.skew_max >= Duration{},
                           "SyncProcessor: skew_max must be >= 0ns");
    }
    template <class S, class O>
        requires(!std::convertible_to<O, SyncOptions>)
    SyncProcessor(S&& store, Strategy strategy, const O&)
        : SyncProcessor{std::forward<S>(store), std::move(strategy)} {
        static_assert(std::convertible_to<O, SyncOptions>,
                      "SyncProcessor: the third argument is belay::SyncOptions, the observer comes "
                      "behind it");
    }

    /// Tries each operation once.
    ///
    /// Errors:     in the result; one that fails and may work later is retryable, and so are all
    ///             after it on its element.
    /// Throws:     what the strategy and the observer throw, std::bad_alloc; what the store throws
    ///             is SyncErrc::store_threw. Where it is of an operation that was pending, that one
    ///             is judged again with the next batch of its session.
    /// Complexity: linear in the operations, each a few calls of the store.
    [[nodiscard]] SyncResult<operation_type> process_batch(
        std::string_view session, std::span<const operation_type> operations) {
        const WallTime since = clock_.now();
        detail::SyncBatch<operation_type> batch{session, operations};
        const std::error_code why = engine().attempt(batch, since);
        return finished(batch.finish(why), detail::elapsed_wall(since, clock_.now()));
    }

    /// The same, and what may work later is tried again, as the policy says: `policies::sync()`
    /// makes 3 retries. Runs a copy of the policy; only what still waits is tried again.
    ///
    /// A wait ends when `stop` is asked to stop: what waits then has failed, and is retryable.
    /// Errors, Throws: as of process_batch.   Blocks: for the waits.
    template <RuleLike Policy, SleeperLike Sleeper, StopTokenLike Stop = NeverStops>
    [[nodiscard]] SyncResult<operation_type> process_with_retry(
        std::string_view session, std::span<const operation_type> operations, const Policy& policy,
        Sleeper& sleeper, const Stop& stop = {}) {
        const Instant since = sleeper.now();
        detail::SyncBatch<operation_type> batch{session, operations};
        const std::error_code why = retry(
            policy, sleeper, [&](const Attempt& attempt) { return try_batch(batch, attempt); },
            stop);
        return finished(batch.finish(why), elapsed(since, sleeper.now()));
    }

    /// What contradicts an operation now; nothing where its id is known. Changes nothing.
    ///
    /// Asks the table of conflicts only: not whether process_batch would refuse the operation as
    /// malformed, as too old, or because its id is another's.   Errors: the store's.
    [[nodiscard]] Result<std::optional<Conflict<operation_type>>> detect_conflict(
        std::string_view session, const operation_type& operation) {
        const auto reason = engine().judge().reason_of(session, operation);
        if (!reason) return reason.error();
        std::optional<Conflict<operation_type>> found;
        if (*reason) found.emplace(Conflict<operation_type>{operation, **reason, false});
        return found;
    }
    /// What would become of a conflict now; changes nothing. Pending where the store cannot say.
    [[nodiscard]] Resolution<value_type> resolve_conflict(
        std::string_view session, const Conflict<operation_type>& conflict) {
        return engine().judge().decide(session, conflict.operation, conflict.reason);
    }

    /// What is pending of a session, by element; copies.
    [[nodiscard]] std::vector<operation_type> pending(std::string_view session) const {
        return pending_.all_of(session);
    }
    /// Forgets an operation that is pending.   Answers whether it was.
    bool drop_pending(std::string_view session, const operation_type& operation) {
        return pending_.drop(session, operation.element(), operation.id);
    }

    [[nodiscard]] TheStore& store() noexcept { return detail::unwrap(store_); }

private:
    friend detail::SyncProcessorAccess;
    using Engine = detail::SyncEngine<TheStore, Strategy, Observer>;

    [[nodiscard]] Engine engine() noexcept {
        return Engine{{store(), strategy_, observer_, options_, pending_, newest_}};
    }
    [[nodiscard]] std::error_code try_batch(detail::SyncBatch<operation_type>& batch,
                                            const Attempt& attempt) {
        batch.result.retry_attempts = attempt.number - 1;
        return engine().attempt(batch, clock_.now());
    }
    [[nodiscard]] SyncResult<operation_type> finished(SyncResult<operation_type> result,
                                                      Duration duration) noexcept {
        result.duration = duration;
        result.timestamp = clock_.now();
        return result;
    }

    Store store_;
    Strategy strategy_;
    SyncOptions options_;
    [[no_unique_address]] Observer observer_;
    [[no_unique_address]] WallClock clock_;
    detail::PendingOperations<operation_type> pending_{};
    WallTime newest_ = WallTime::min();
};

template <class Store, class Strategy>
SyncProcessor(Store&&, Strategy) -> SyncProcessor<std::remove_cvref_t<Store>, Strategy>;
template <class Store, class Strategy>
SyncProcessor(Store&&, Strategy, SyncOptions)
    -> SyncProcessor<std::remove_cvref_t<Store>, Strategy>;
template <class Store, class Strategy, class O>
    requires(!std::convertible_to<O, SyncOptions>)
SyncProcessor(Store&&, Strategy, const O&) -> SyncProcessor<std::remove_cvref_t<Store>, Strategy>;
template <class Store, class Strategy, class Observer>
SyncProcessor(Store&&, Strategy, SyncOptions, Observer)
    -> SyncProcessor<std::remove_cvref_t<Store>, Strategy, Observer>;
template <class Store, class Strategy, class Observer, class WallClock>
SyncProcessor(Store&&, Strategy, SyncOptions, Observer, WallClock)
    -> SyncProcessor<std::remove_cvref_t<Store>, Strategy, Observer, WallClock>;

namespace detail {

/// What the form for coroutines needs of a processor.
struct SyncProcessorAccess {
    template <class Processor, class Batch>
    [[nodiscard]] static std::error_code attempt(Processor& processor, Batch& batch,
                                                 const Attempt& attempt) {
        return processor.try_batch(batch, attempt);
    }
    template <class Processor, class Op>
    [[nodiscard]] static SyncResult<Op> finished(Processor& processor, SyncResult<Op> result,
                                                 Duration duration) noexcept {
        return processor.finished(std::move(result), duration);
    }
};

}  // namespace detail

}}  // namespace belay
