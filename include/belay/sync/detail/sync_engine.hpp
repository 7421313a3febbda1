// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_engine.hpp
/// SyncEngine: runs batches on a store, transaction by transaction, and notifies the observer.
#pragma once

#include <algorithm>      // std::min
#include <cstdint>        // std::uint64_t
#include <exception>      // std::exception_ptr
#include <map>            // std::map
#include <optional>       // std::optional
#include <span>           // std::span
#include <string_view>    // std::string_view
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::exchange, std::move
#include <vector>         // std::vector

#include <belay/sync/detail/operation_processor.hpp>
#include <belay/sync/detail/pending_operations.hpp>
#include <belay/sync/detail/sync_batch.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The objects that a SyncEngine uses, and its processor owns.
template <class Store, class Strategy, class Observer, class Op>
struct SyncParts {
    Store& store;
    Strategy& strategy;
    Observer& observer;
    const SyncOptions& options;
    PendingOperations<Op>& pending;
    WallTime& newest;  // the latest stamp of a decided operation
};

/// Runs batches on one store.
template <StoreLike Store, class Strategy, class Observer>
class SyncEngine {
public:
    using Processor = OperationProcessor<Store, Strategy>;
    using Op = typename Processor::Op;
    using Batch = SyncBatch<Op>;
    using Parts = SyncParts<Store, Strategy, Observer, Op>;

    explicit SyncEngine(const Parts& parts) noexcept
        : parts_{parts}, processor_{parts.store, parts.strategy, parts.options} {}

    /// Tries the waiting operations once, in their order.   Errors: why some of them still wait.
    [[nodiscard]] std::error_code attempt(Batch& batch, WallTime now) {
        std::vector<typename Batch::Waiting> tries = std::exchange(batch.waiting, {});
        blocked_.clear();
        expire_pending(now);
        process_pending(batch.session, now);
        const Tries all{tries};
        for (std::size_t from = 0; from < all.size();) {
            const std::size_t count =
                std::min(parts_.options.transaction_operations, all.size() - from);
            transact(batch, all.subspan(from, count), now);
            process_pending(batch.session, now);
            from += count;
            notify<typename Hooks::Progress>(
                parts_.observer, no_machine,
                part::SyncProgress{batch.decided(), batch.operations.size()});
        }
        return batch.why_waiting();
    }
    [[nodiscard]] Processor& processor() noexcept { return processor_; }

private:
    using Outcome = typename Processor::Outcome;
    using Hooks = SyncHooks<Op>;
    using Tries = std::span<typename Batch::Waiting>;
    // The time of some operations covers one access to memory.
    static constexpr std::size_t ahead = 4;
    struct PendingNow {
        std::uint64_t hash;
        Id origin;
    };

    void transact(Batch& batch, Tries tries, WallTime now) {
        blocked_now_.clear();
        outcomes_.clear();
        outcomes_.reserve(tries.size());
        pending_now_.clear();
        const std::error_code error = in_transaction([&]() -> std::error_code {
            // No later than the newest stamp, so that a wall clock that jumps ahead removes
            // nothing.
            const WallTime until = std::min(now, parts_.newest);
            std::error_code failed = ask_store([&] { return parts_.store.expire(until); });
            for (std::size_t i = 0; i < tries.size() && !failed; ++i) {
                if (i + ahead < tries.size()) announce(batch, tries[i + ahead].index);
                outcomes_.push_back(process(batch, tries[i].index, now));
            }
            return failed;
        });
        if (error) {
            // The transaction has had no effect, so operations that were held back before still
            // are.
            for (const std::string_view element : blocked_now_) blocked_.erase(element);
            // A kept operation had no effect to undo, and an error of the store does not decide it.
            outcomes_.resize(tries.size());
            for (std::size_t i = 0; i < tries.size(); ++i) {
                if (outcomes_[i].outcome == OperationOutcome::kept) continue;
                auto held = held_back(batch, batch.operations[tries[i].index]);
                outcomes_[i] = held ? std::move(*held) : Outcome::error_of(error);
            }
            for (std::size_t i = 0; i < tries.size(); ++i) {
                hold_back_after(batch, batch.operations[tries[i].index], outcomes_[i]);
            }
        }
        for (std::size_t i = 0; i < tries.size(); ++i) {
            settle(batch, tries[i].index, outcomes_[i], now);
        }
    }

    /// Lets the store load what it needs for an operation, while those before it are processed.
    void announce(const Batch& batch, std::size_t index) {
        if constexpr (HasPrefetch<Store>) {
            const Op& op = batch.operations[index];
            parts_.store.prefetch({batch.session, op.element()}, op.id);
        }
    }
    [[nodiscard]] Outcome process(Batch& batch, std::size_t index, WallTime now) {
        const Op& op = batch.operations[index];
        if (auto held = held_back(batch, op)) return std::move(*held);
        const std::optional<std::uint64_t> known = pending_hash(op.id);
        Outcome outcome = processor_.process(batch.session, op, now, known, former_waits(op));
        if (outcome.outcome == OperationOutcome::pending && !known) {
            if (pending_is_full(batch.session, op.stamp.origin)) {
                outcome = Outcome::kept_for(SyncErrc::pending_full);
            } else {
                const std::uint64_t hash = hash_of_operation(batch.session, op);
                pending_now_.try_emplace(op.id, PendingNow{hash, op.stamp.origin});
            }
        }
        hold_back_after(batch, op, outcome);
        return outcome;
    }
    /// Returns whether no operation of this session, or of this origin, may become pending. All of
    /// `pending_now_` are of the session.
    [[nodiscard]] bool pending_is_full(std::string_view session, const Id& origin) const {
        const SyncOptions& limits = parts_.options;
        const std::size_t now = pending_now_.size();
        if (parts_.pending.size() + now >= limits.pending_max) return true;
        if (parts_.pending.size_of(session) + now >= limits.pending_of_session_max) return true;
        std::size_t of_origin = parts_.pending.size_of_origin(origin);
        for (const auto& [id, one] : pending_now_) of_origin += one.origin == origin ? 1U : 0U;
        return of_origin >= limits.pending_of_origin_max;
    }
    /// Later operations on the element wait for one that waits, or is kept.
    void hold_back_after(Batch& batch, const Op& op, const Outcome& outcome) {
        if (outcome.outcome == OperationOutcome::waiting) block(op);
        if (outcome.outcome == OperationOutcome::kept) keep(batch, op, outcome.wait);
    }
    /// Returns the outcome of an operation that must not go before an earlier one on its element.
    [[nodiscard]] std::optional<Outcome> held_back(const Batch& batch, const Op& op) const {
        // Nearly always, nothing is held back.
        if (batch.kept.empty() && blocked_.empty()) return std::nullopt;
        if (op.kind() == OperationKind::interaction) return std::nullopt;
        const std::string_view element = op.element();
        const auto kept = batch.kept.find(element);
        if (kept != batch.kept.end()) {
            return Outcome::kept_for(SyncErrc::held_back, kept->second);
        }
        if (blocked_.find(element) == blocked_.end()) return std::nullopt;
        return Outcome::error_of(SyncErrc::held_back);
    }
    void keep(Batch& batch, const Op& op, std::optional<Duration> wait) {
        if (op.kind() == OperationKind::interaction) return;
        batch.kept.try_emplace(op.element(), wait);
    }
    /// Returns the hash of the operation with this id that is pending, or will be after the current
    /// transaction.
    [[nodiscard]] std::optional<std::uint64_t> pending_hash(const Id& id) const {
        if (pending_now_.empty()) return parts_.pending.hash_of(id);
        const auto now = pending_now_.find(id);
        return now != pending_now_.end() ? std::optional{now->second.hash}
                                         : parts_.pending.hash_of(id);
    }
    /// Returns whether the operation with the former id of this one is pending.
    [[nodiscard]] bool former_waits(const Op& op) const {
        if constexpr (HasFormerly<Op>) {
            return has_former_id(op) && pending_hash(op.formerly).has_value();
        }
        return false;
    }
    void block(const Op& op) {
        if (op.kind() == OperationKind::interaction) return;
        if (blocked_.insert(op.element()).second) blocked_now_.push_back(op.element());
    }

    /// Counts and stores the result of an operation after its transaction, and notifies the
    /// observer.
    void settle(Batch& batch, std::size_t index, Outcome& outcome, WallTime now) {
        const Op& op = batch.operations[index];
        switch (outcome.outcome) {
            case OperationOutcome::applied:
            case OperationOutcome::logged:
                ++batch.result.synced_count;
                break;
            case OperationOutcome::duplicate:
                if (outcome.conflict && !outcome.conflict->replaced) {
                    batch.conflict(index, outcome.conflict->reason, true);
                } else {
                    ++batch.result.synced_count;
                }
                break;
            case OperationOutcome::skipped:
            case OperationOutcome::pending:
                batch.conflict(index, outcome.conflict->reason,
                               outcome.outcome == OperationOutcome::skipped);
                break;
            case OperationOutcome::waiting:
                batch.waiting.push_back({index, outcome.error});
                break;
            case OperationOutcome::failed:
            case OperationOutcome::kept:
                batch.fail(index, outcome);
                break;
        }
        follow(batch.session, op, outcome, now);
        if (outcome.conflict && outcome.conflict->replaced) {
            batch.overwrite(index, outcome.conflict->reason,
                            std::move(*outcome.conflict->replaced));
        }
    }
    void follow(std::string_view session, const Op& op, const Outcome& outcome, WallTime now) {
        if (outcome.outcome == OperationOutcome::pending) {
            parts_.pending.keep(session, op, hash_of_operation(session, op), now);
        } else if (outcome.outcome != OperationOutcome::waiting &&
                   outcome.outcome != OperationOutcome::kept) {
            // Another operation with the same id does not decide it.
            const auto pending = parts_.pending.hash_of(op.id);
            if (pending && *pending == hash_of_operation(session, op)) {
                parts_.pending.drop(session, op.element(), op.id);
            }
        }
        if (parts_.pending.size() != 0 && wakes(op, outcome)) {
            parts_.pending.changed({session, op.element()});
        }
        if (!outcome.error && parts_.newest < op.stamp.wall) parts_.newest = op.stamp.wall;
        if (outcome.conflict && outcome.outcome != OperationOutcome::duplicate) {
            const auto& replaced = outcome.conflict->replaced;
            notify<typename Hooks::OfConflict>(
                parts_.observer, no_machine,
                ConflictReport<Op>{session, op, outcome.conflict->reason,
                                   outcome.conflict->decision, replaced ? &*replaced : nullptr});
        }
        notify<typename Hooks::OfOperation>(
            parts_.observer, no_machine,
            OperationReport<Op>{session, op, outcome.outcome, outcome.error});
    }

    // A removal of an element that never existed is skipped, and still remembered. A duplicate may
    // have been decided by another processor, or by this one before its observer threw.
    [[nodiscard]] static bool wakes(const Op& op, const Outcome& outcome) noexcept {
        const bool decided = outcome.outcome == OperationOutcome::applied ||
                             outcome.outcome == OperationOutcome::skipped ||
                             outcome.outcome == OperationOutcome::duplicate;
        return decided && op.kind() != OperationKind::update;
    }

    /// Removes the operations that are pending for too long. Each is reported with its contents.
    void expire_pending(WallTime now) {
        if (parts_.options.pending_for == forever) return;
        const WallTime until = earlier(now, parts_.options.pending_for);
        while (const auto expired = parts_.pending.take_expired(until)) {
            notify<typename Hooks::OfOperation>(
                parts_.observer, no_machine,
                OperationReport<Op>{expired->session, expired->operation, OperationOutcome::kept,
                                    SyncErrc::pending_expired});
        }
    }
    /// Processes the operations again that wait for changed elements.
    void process_pending(std::string_view session, WallTime now) {
        if (parts_.pending.due().empty()) return;
        for (const auto& [name, threw] :
             typename PendingOperations<Op>::Due{parts_.pending.due()}) {
            // Otherwise a strategy that always throws here would end the batches of other sessions,
            // too.
            if (threw && name.first != session) continue;
            parts_.pending.judging(name);
            // Operations that must be tried again are tried with the next attempt of any batch.
            parts_.pending.processed(name, process_again({name.first, name.second}, now));
        }
    }
    /// Processes all operations of one element, and again while that wakes others. Each time there
    /// are fewer.
    /// Returns: whether some must be tried again.
    [[nodiscard]] bool process_again(const part::ElementKey& key, WallTime now) {
        bool again = false;
        for (bool woken = true; woken && !again;) {
            woken = false;
            const std::vector<Op> operations = parts_.pending.of(key);
            if (operations.empty()) break;
            outcomes_.clear();
            const std::error_code error = in_transaction([&]() -> std::error_code {
                for (const Op& op : operations) {
                    const auto pending = parts_.pending.hash_of(op.id);
                    outcomes_.push_back(
                        processor_.process(key.session, op, now, pending, former_waits(op)));
                }
                return {};
            });
            if (error) return true;
            for (std::size_t i = 0; i < operations.size(); ++i) {
                again = again || outcomes_[i].outcome == OperationOutcome::waiting ||
                        (outcomes_[i].outcome == OperationOutcome::kept &&
                         outcomes_[i].error != SyncErrc::too_old);
                woken = woken || wakes(operations[i], outcomes_[i]);
                follow(key.session, operations[i], outcomes_[i], now);
            }
        }
        return again;
    }

    /// Runs `body` in a transaction, if the store has them.   Throws: what the strategy throws.
    template <class Body>
    [[nodiscard]] std::error_code in_transaction(Body body) {
        std::exception_ptr thrown;
        bool ran = false;
        std::error_code rejected;
        auto once = [&]() -> std::error_code {
            if (std::exchange(ran, true)) return rejected = SyncErrc::store_disagrees;
#if defined(__cpp_exceptions)
            try {
                return rejected = body();
            } catch (...) {
                thrown = std::current_exception();
                return rejected = SyncErrc::store_threw;
            }
#else
            return rejected = body();
#endif
        };
        std::error_code error;
        if constexpr (HasTransaction<Store>) {
            error = ask_store([&] { return parts_.store.transaction(once); });
        } else {
            error = once();
        }
        if (thrown) std::rethrow_exception(thrown);
        // The content of the store is unknown if it never ran `body`, ran it twice, or did not
        // return its error.
        if (!error && (!ran || rejected)) error = SyncErrc::store_disagrees;
        return error;
    }

    Parts parts_;
    Processor processor_;
    std::vector<Outcome> outcomes_{};
    std::unordered_set<std::string_view> blocked_{};
    std::vector<std::string_view> blocked_now_{};  // by the current transaction
    std::map<Id, PendingNow> pending_now_{};       // what it makes pending
};

}}}  // namespace belay::detail
