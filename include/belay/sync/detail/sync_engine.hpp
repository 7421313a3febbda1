// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_engine.hpp
/// SyncEngine: runs batches on a store, transaction by transaction, and notifies the observer.
#pragma once

#include <algorithm>      // std::find_if, std::sort, std::min
#include <cstdint>        // std::uint64_t
#include <exception>      // std::exception_ptr
#include <map>            // std::map
#include <optional>       // std::optional
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <unordered_map>  // std::unordered_map
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::pair, std::move, std::exchange
#include <vector>         // std::vector

#include <belay/sync/detail/operation_processor.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_observer.hpp>
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <OperationLike Op>
class PendingOperations {
public:
    /// A session and an element of it.
    using Name = std::pair<std::string, std::string>;
    /// An operation, and the session that it is of.
    struct Expired {
        std::string session;
        Op operation;
    };

    /// Adds an operation, once.   Pre: there is no operation with this id and another hash.
    void keep(std::string_view session, const Op& op, std::uint64_t hash, WallTime now) {
        if (known_.find(op.id) != known_.end()) return;
        // Everything that may throw comes first, so that it is everywhere or nowhere.
        std::map<Id, Known> known{{op.id, {hash, now}}};
        Ages ages{{{now, op.id}, {std::string{session}, std::string{op.element()}}}};
        std::size_t& of_origin = origins_[op.stamp.origin];
        Session& in = entry(sessions_, session);
        entry(in.elements, std::string_view{op.element()}).push_back(op);
        ++in.count;
        ++of_origin;
        known_.merge(known);
        ages_.merge(ages);
    }
    /// Removes the operation with this id.   Returns: whether there was one.
    bool drop(std::string_view session, std::string_view element, const Id& id) {
        std::vector<Op>* const there = find({session, element});
        if (there == nullptr) return false;
        const auto same = position(*there, id);
        if (same == there->end()) return false;
        uncount(session, *same);
        there->erase(same);
        if (there->empty()) forget({session, element});
        return true;
    }
    /// Removes the operation that is pending for the longest time, if that is at least until
    /// `until`.
    [[nodiscard]] std::optional<Expired> take_expired(WallTime until) {
        if (ages_.empty() || ages_.begin()->first.first > until) return std::nullopt;
        const auto& [age, name] = *ages_.begin();
        const Id id = age.second;
        const Name at = name;
        std::vector<Op>* const there = find({at.first, at.second});
        Expired expired{at.first, *position(*there, id)};
        drop(at.first, at.second, id);
        return expired;
    }
    /// Returns the hash of the operation with this id, in any session.
    [[nodiscard]] std::optional<std::uint64_t> hash_of(const Id& id) const {
        if (known_.empty()) return std::nullopt;
        const auto at = known_.find(id);
        return at != known_.end() ? std::optional{at->second.hash} : std::nullopt;
    }
    /// Returns all operations of an element, in the order of their stamps.
    [[nodiscard]] std::vector<Op> of(const part::ElementKey& key) {
        const std::vector<Op>* const there = find(key);
        std::vector<Op> all = there != nullptr ? *there : std::vector<Op>{};
        std::sort(all.begin(), all.end(),
                  [](const Op& a, const Op& b) { return a.stamp < b.stamp; });
        return all;
    }

    /// The element has changed: its operations, if any, must be processed again.
    void changed(const part::ElementKey& key) {
        if (find(key) != nullptr) {
            due_.try_emplace({std::string{key.session}, std::string{key.id}}, false);
        }
    }
    /// The elements whose operations must be processed again, and whether processing them threw.
    using Due = std::map<Name, bool>;
    [[nodiscard]] const Due& due() const noexcept { return due_; }
    void judging(const Name& name) { due_[name] = true; }
    void processed(const Name& name, bool again) {
        if (again) {
            due_[name] = false;
        } else {
            due_.erase(name);
        }
    }
    [[nodiscard]] std::vector<Op> all_of(std::string_view session) const {
        std::vector<Op> all;
        const auto at = sessions_.find(session);
        if (at == sessions_.end()) return all;
        for (const auto& [element, operations] : at->second.elements) {
            all.insert(all.end(), operations.begin(), operations.end());
        }
        return all;
    }
    [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }
    [[nodiscard]] std::size_t size_of(std::string_view session) const {
        const auto at = sessions_.find(session);
        return at != sessions_.end() ? at->second.count : 0;
    }
    [[nodiscard]] std::size_t size_of_origin(const Id& origin) const {
        const auto at = origins_.find(origin);
        return at != origins_.end() ? at->second : 0;
    }

private:
    template <class T>
    using Table = std::map<std::string, T, std::less<>>;
    struct Session {
        Table<std::vector<Op>> elements{};
        std::size_t count = 0;
    };
    struct Known {
        std::uint64_t hash;
        WallTime since;
    };
    using Ages = std::map<std::pair<WallTime, Id>, Name>;

    template <class T>
    [[nodiscard]] static T& entry(Table<T>& table, std::string_view name) {
        const auto at = table.find(name);
        return at != table.end() ? at->second : table[std::string{name}];
    }
    [[nodiscard]] static auto position(std::vector<Op>& in, const Id& id) {
        return std::find_if(in.begin(), in.end(), [&](const Op& op) { return op.id == id; });
    }
    [[nodiscard]] std::vector<Op>* find(const part::ElementKey& key) {
        const auto of_session = sessions_.find(key.session);
        if (of_session == sessions_.end()) return nullptr;
        const auto at = of_session->second.elements.find(key.id);
        return at != of_session->second.elements.end() ? &at->second : nullptr;
    }
    void uncount(std::string_view session, const Op& op) {
        const auto known = known_.find(op.id);
        ages_.erase({known->second.since, op.id});
        known_.erase(known);
        --sessions_.find(session)->second.count;
        const auto of_origin = origins_.find(op.stamp.origin);
        if (--of_origin->second == 0) origins_.erase(of_origin);
    }
    void forget(const part::ElementKey& key) {
        if (!due_.empty()) due_.erase({std::string{key.session}, std::string{key.id}});
        const auto of_session = sessions_.find(key.session);
        auto& elements = of_session->second.elements;
        elements.erase(elements.find(key.id));
        if (elements.empty()) sessions_.erase(of_session);
    }

    Table<Session> sessions_;
    std::map<Id, Known> known_;
    Ages ages_;
    std::map<Id, std::size_t> origins_;
    Due due_;
};

/// The rest of a batch, and the results of the operations that are decided.
template <OperationLike Op>
struct SyncBatch {
    struct Waiting {
        std::size_t index;
        std::error_code why;
    };

    SyncBatch(std::string_view of, std::span<const Op> given)
        : session{of}, operations{given}, waiting(given.size()) {
        for (std::size_t i = 0; i < given.size(); ++i) waiting[i].index = i;
    }

    [[nodiscard]] std::size_t decided() const noexcept {
        return result.synced_count + result.conflict_count + result.failed_count;
    }
    /// Lists an operation that failed for good, or is kept.
    template <class Outcome>
    void fail(std::size_t index, const Outcome& outcome) {
        const bool is_kept = outcome.outcome == OperationOutcome::kept;
        ++result.failed_count;
        failures.push_back({index, outcome.error, is_kept, outcome.wait, is_kept});
    }
    void overwrite(std::size_t index, const ConflictReason& reason,
                   part::ReplacedVersion<typename Op::value_type> replaced) {
        overwrites.push_back({index, reason, std::move(replaced)});
    }
    void conflict(std::size_t index, const ConflictReason& reason, bool resolved) {
        ++result.conflict_count;
        conflicts.push_back({index, reason, resolved});
    }
    /// Returns the most severe of the errors because of which operations wait; none if none waits.
    [[nodiscard]] std::error_code why_waiting() const noexcept {
        std::error_code why;
        for (const Waiting& one : waiting) {
            const bool held = one.why == SyncErrc::held_back;
            if (!held && cause_of(one.why) > cause_of(why)) why = one.why;
        }
        return why;
    }
    /// Ends the batch. Operations that still wait have failed, by `why` if they were not tried at
    /// all.
    [[nodiscard]] SyncResult<Op> finish(const std::error_code& why) {
        for (const Waiting& one : waiting) {
            ++result.failed_count;
            failures.push_back({one.index, one.why ? one.why : why, true, std::nullopt, false});
        }
        waiting.clear();
        const auto by_index = [](const auto& a, const auto& b) { return a.index < b.index; };
        std::sort(conflicts.begin(), conflicts.end(), by_index);
        std::sort(failures.begin(), failures.end(), by_index);
        std::sort(overwrites.begin(), overwrites.end(), by_index);
        result.conflicts.reserve(conflicts.size());
        for (const Contradicted& one : conflicts) {
            result.conflicts.push_back({operations[one.index], one.reason, one.resolved});
        }
        result.failed_operations.reserve(failures.size());
        for (const Failed& one : failures) {
            result.failed_operations.push_back(
                {operations[one.index], one.why, one.retryable, one.wait, one.kept});
        }
        result.overwrote.reserve(overwrites.size());
        for (Overwritten& one : overwrites) {
            result.overwrote.push_back(
                {operations[one.index], one.reason, std::move(one.replaced)});
        }
        result.success = result.failed_count == 0;
        return std::move(result);
    }

    struct Contradicted {
        std::size_t index;
        ConflictReason reason;
        bool resolved;
    };
    struct Overwritten {
        std::size_t index;
        ConflictReason reason;
        part::ReplacedVersion<typename Op::value_type> replaced;
    };
    struct Failed {
        std::size_t index;
        std::error_code why;
        bool retryable;
        std::optional<Duration> wait;
        bool kept;
    };

    std::string_view session;
    std::span<const Op> operations;
    std::vector<Waiting> waiting;  // in the order of the batch
    /// The elements of kept operations, and how long those wait. Later operations on such an
    /// element are kept, too.
    std::unordered_map<std::string_view, std::optional<Duration>> kept{};
    std::vector<Contradicted> conflicts{};
    std::vector<Failed> failures{};
    std::vector<Overwritten> overwrites{};
    SyncResult<Op> result{};
};

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
        const std::error_code error = in_transaction([&]() -> std::error_code {
            // No later than the newest stamp, so that a wall clock that jumps ahead removes
            // nothing.
            const WallTime until = std::min(now, parts_.newest);
            std::error_code failed = ask_user([&] { return parts_.store.expire(until); });
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
        if (op.kind() == OperationKind::interaction) return;
        const std::string_view element = op.element();
        if (outcome.outcome == OperationOutcome::kept)
            batch.kept.try_emplace(element, outcome.wait);
        if (outcome.outcome == OperationOutcome::waiting && blocked_.insert(element).second) {
            blocked_now_.push_back(element);
        }
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
    /// Returns the hash of the operation with this id that is pending, or will be after the current
    /// transaction.
    [[nodiscard]] std::optional<std::uint64_t> pending_hash(const Id& id) const {
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
        if (!outcome.error) {
            const WallTime plausible = std::min(op.stamp.wall, later(now, parts_.options.skew_max));
            parts_.newest = std::max(parts_.newest, plausible);
        }
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
        pending_now_.clear();
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
            error = ask_user([&] { return parts_.store.transaction(once); });
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
