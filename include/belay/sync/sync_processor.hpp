// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_processor.hpp
/// SyncProcessor: applies operations that were made elsewhere to a store, once, in order, and
/// reports every conflict.
#pragma once

#include <concepts>     // std::constructible_from, std::convertible_to
#include <functional>   // std::reference_wrapper
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::forward, std::move
#include <vector>       // std::vector

#include <belay/call/retry.hpp>
#include <belay/core/clocks.hpp>
#include <belay/sync/detail/sync_engine.hpp>
#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

struct SyncProcessorAccess;

}  // namespace detail

/// Applies operations to a store by the table of conflicts in docs/explanation/conflicts.md.
///
///     SyncProcessor processor{std::ref(store), LastWriteWins{}};
///     SyncResult result = processor.process_batch("session-1", operations);
///
/// Each operation is applied once. The operations on one element are applied in the order of their
/// batch: while one waits to be tried again, those after it wait, too. The store remembers the id
/// of each decided operation, applied or not, and the processor does not decide it again. If a
/// batch is interrupted, send it again as a whole. Decided conflicts are never tried again. Synced
/// operations, conflicts and failed operations add up to the whole batch.
///
/// A pending operation is a conflict that is not resolved: an update before its Add
/// (`upsert_updates`), or a conflict that a strategy left pending. It is only in the memory of this
/// object, and its id is not remembered, so its sender must keep it. It is decided again when it is
/// sent again, or when an Add or Remove of its element is decided. In the second case, only the
/// observer is notified. After SyncOptions::pending_for it is removed, and the observer is
/// notified.
///
/// Thread safety: one thread at a time; must not be called from its own observer, strategy or
///                store.
/// Allocates:     yes.
template <class Store, class Strategy, class Observer = NoObserver,
          WallClockLike WallClock = SystemClock>
class SyncProcessor {
    using TheStore = detail::Unwrapped<Store>;
    static_assert(explain::store_like<TheStore>());

public:
    using operation_type = typename TheStore::operation_type;
    using value_type = typename operation_type::value_type;

    /// Constructs a processor for a store, given by `std::ref` or moved in.
    ///
    /// A named store is never copied.
    /// Pre: options.transaction_operations > 0; options.skew_max and pending_for >= 0ns.
    template <class S>
        requires std::constructible_from<Store, S>
    explicit SyncProcessor(S&& store, Strategy strategy, SyncOptions options = {},
                           Observer observer = {}, WallClock clock = {})
        : store_{std::forward<S>(store)},
          strategy_{std::move(strategy)},
          options_{options},
          observer_{std::move(observer)},
          clock_{std::move(clock)} {
        static_assert(!detail::copies_a_part<S>,
                      "SyncProcessor: a store that is a variable must be passed as std::ref(store) "
                      "or std::move(store)");
        static_assert(explain::strategy_like<Strategy, operation_type>());
        static_assert(detail::explain_observer<detail::SyncHooks<operation_type>, Observer>());
        BELAY_OPTION(options.transaction_operations > 0 && options.element_id_bytes_max > 0,
                     "SyncProcessor: transaction_operations and element_id_bytes_max must be > 0");
        BELAY_OPTION(options.skew_max >= Duration{}, "SyncProcessor: skew_max must be >= 0ns");
        BELAY_OPTION(options.pending_for >= Duration{},
                     "SyncProcessor: pending_for must be >= 0ns");
    }
    template <class S, class... Rest>
        requires(!std::constructible_from<Store, S>)
    SyncProcessor(S&&, Strategy strategy, const Rest&...)
        : store_{detail::no_store<Store>()}, strategy_{std::move(strategy)} {
        static_assert(std::constructible_from<Store, S>,
                      "SyncProcessor: a store that is a variable must be passed as std::ref(store) "
                      "or std::move(store)");
    }
    /// With the usual options.
    template <class S, detail::ObserverArgument<Observer> O>
        requires(std::constructible_from<Store, S> && !std::convertible_to<O, SyncOptions>)
    SyncProcessor(S&& store, Strategy strategy, O&& observer)
        : SyncProcessor{std::forward<S>(store), std::move(strategy), SyncOptions{},
                        std::forward<O>(observer)} {}

    /// Tries each operation once.
    ///
    /// Errors:     in the result. An operation that fails and may succeed later is retryable, and
    ///             so are all operations after it on its element.
    /// Throws:     what the strategy and the observer throw; std::bad_alloc. An exception of the
    ///             store becomes SyncErrc::store_threw. If an exception concerns a pending
    ///             operation, that operation is decided again with the next batch of its session.
    /// Complexity: linear in the operations, each a few calls of the store.
    [[nodiscard]] SyncResult<operation_type> process_batch(
        std::string_view session, std::span<const operation_type> operations) {
        const WallTime since = clock_.now();
        detail::SyncBatch<operation_type> batch{session, operations};
        const std::error_code why = engine().attempt(batch, since);
        return finished(batch.finish(why), detail::elapsed_wall(since, clock_.now()));
    }

    /// Tries each operation, and tries again what may succeed later, as the policy specifies.
    ///
    /// `policies::sync()` makes 3 retries. The call runs a copy of the policy. Only operations that
    /// still wait are tried again.
    ///
    /// A stop request on `stop` ends a wait. The operations that wait then have failed, and are
    /// retryable. Errors, Throws: as of process_batch.   Blocks: for the waits.
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

    /// Does not compile, because an argument is missing, in another place, or of another kind.
    template <class Policy, class Sleeper, class... Rest>
        requires(!RuleLike<std::remove_cvref_t<Policy>> || !SleeperLike<Sleeper>)
    SyncResult<operation_type> process_with_retry(std::string_view, std::span<const operation_type>,
                                                  Policy&&, Sleeper&, const Rest&...) {
        static_assert(RuleLike<std::remove_cvref_t<Policy>>,
                      "SyncProcessor::process_with_retry: the third argument must be a policy, "
                      "such as belay::policies::sync(); options go to the constructor");
        if constexpr (RuleLike<std::remove_cvref_t<Policy>>) {
            static_assert(explain::sleeper_like<Sleeper>());
        }
        return {};
    }

    /// Returns the conflict of an operation with the store now; nothing if there is none.
    ///
    /// There is none if the id of the operation is known. The call changes nothing. It uses only
    /// the table of conflicts. It does not check whether process_batch would reject the operation
    /// as malformed, as too old, or because another operation has its id.   Errors: the store's.
    [[nodiscard]] Result<std::optional<Conflict<operation_type>>> detect_conflict(
        std::string_view session, const operation_type& operation) {
        const auto reason = engine().processor().reason_of(session, operation);
        if (!reason) return reason.error();
        std::optional<Conflict<operation_type>> found;
        if (*reason) found.emplace(Conflict<operation_type>{operation, **reason, false});
        return found;
    }
    /// Returns the decision that a conflict would get now; changes nothing. The decision is pending
    /// if the store returns an error.
    [[nodiscard]] Resolution<value_type> resolve_conflict(
        std::string_view session, const Conflict<operation_type>& conflict) {
        return engine().processor().decide(session, conflict.operation, conflict.reason);
    }

    /// Returns copies of the pending operations of a session, ordered by element.
    [[nodiscard]] std::vector<operation_type> pending(std::string_view session) const {
        return pending_.all_of(session);
    }
    /// Forgets a pending operation.   Returns: whether it was pending.
    bool drop_pending(std::string_view session, const operation_type& operation) {
        return pending_.drop(session, operation.element(), operation.id);
    }

    /// Returns the store. Between two batches a program may read it, and call changes_since().
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

template <class Store, class Strategy, class Observer = NoObserver, class WallClock = SystemClock>
SyncProcessor(Store&&, Strategy, SyncOptions = {}, Observer = {}, WallClock = {})
    -> SyncProcessor<std::remove_cvref_t<Store>, Strategy, Observer, WallClock>;
template <class Store, class Strategy, class O>
    requires(!std::convertible_to<O, SyncOptions>)
SyncProcessor(Store&&, Strategy, O) -> SyncProcessor<std::remove_cvref_t<Store>, Strategy, O>;

namespace detail {

/// Gives the form for coroutines access to a processor.
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
