// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/operation_processor.hpp
/// OperationProcessor: one operation, from its checks to its effect in the store.
#pragma once

#include <chrono>       // std::chrono::hours
#include <cstdint>      // std::uint64_t
#include <memory>       // std::make_unique, std::unique_ptr
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move

#include <belay/core/order.hpp>
#include <belay/sync/detail/conflict_table.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/strategy_like.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The result of one operation.
template <class Value>
struct Decided {
    using Kind = typename Resolution<Value>::Kind;
    /// A conflict, and the decision about it.
    struct Contradicted {
        ConflictReason reason{};
        Kind decision{};
        /// Set if the operation was applied.
        std::optional<part::ReplacedVersion<Value>> replaced{};
    };

    OperationOutcome outcome{};
    std::error_code error{};
    /// Null if there is no conflict. Few operations are conflicts, and a transaction has the
    /// results of 1,000 operations in memory, so each is small.
    std::unique_ptr<Contradicted> conflict{};
    /// Set if the operation is kept, and only time is missing.
    std::optional<Duration> wait{};

    [[nodiscard]] static Decided of(OperationOutcome outcome) {
        Decided made;
        made.outcome = outcome;
        return made;
    }
    /// The operation itself is at fault, or the cause lies in the store. In the second case the
    /// operation waits if time may remove the cause, and is kept otherwise.
    [[nodiscard]] static Decided error_of(const std::error_code& error) {
        const bool ends = error == SyncErrc::bad_operation || error == SyncErrc::id_reused;
        if (!ends && (!may_heal(error) || error == SyncErrc::store_closed)) return kept_for(error);
        Decided made = of(ends ? OperationOutcome::failed : OperationOutcome::waiting);
        made.error = error;
        return made;
    }
    void contradict(const ConflictReason& reason, Kind decision) {
        conflict = std::make_unique<Contradicted>(Contradicted{reason, decision, {}});
    }
    /// The cause lies in the processor or its store, so this is no decision about the operation.
    [[nodiscard]] static Decided kept_for(const std::error_code& error,
                                          std::optional<Duration> wait = {}) {
        Decided made = of(OperationOutcome::kept);
        made.error = error;
        made.wait = wait;
        return made;
    }
};

/// Returns the hash of an operation. It includes the session, because an id has only one meaning,
/// and the same operation was not applied in another session.
template <OperationLike Op>
[[nodiscard]] std::uint64_t hash_of_operation(std::string_view session, const Op& op) {
    return hash_bytes(as_bytes(session), hash_of_operation(op));
}

/// Processes operations one by one. The store may be in a transaction meanwhile.
template <StoreLike Store, class Strategy>
class OperationProcessor {
public:
    using Op = typename Store::operation_type;
    using Value = typename Op::value_type;
    using Answer = Resolution<Value>;
    using Outcome = Decided<Value>;

    OperationProcessor(Store& store, Strategy& strategy, const SyncOptions& options) noexcept
        : store_{store}, strategy_{strategy}, options_{options} {}

    /// Checks an operation, and applies it to the store. `pending` is the hash of the pending
    /// operation with its id. `former_waits`: the operation with its former id is pending.
    ///
    /// Throws: what the strategy throws.
    [[nodiscard]] Outcome process(std::string_view session, const Op& op, WallTime now,
                                  std::optional<std::uint64_t> pending, bool former_waits = false) {
        if (!is_well_formed(op)) return Outcome::error_of(SyncErrc::bad_operation);
        part::WriteMark mark{op.stamp, op.id, hash_of_operation(session, op),
                             part::Decision::applied};
        const auto known = ask_user([&] { return store_.applied(mark.operation); });
        if (!known) return Outcome::error_of(known.error());
        // Before the clock is asked: it may have been set back since.
        if (*known) return decided_before(session, op, mark.hash, **known);
        if (needs_clock(op) && is_ahead(op, now)) return ahead_of(op, now);
        if (pending && *pending != mark.hash) return Outcome::error_of(SyncErrc::id_reused);
        const part::ElementKey key{session, op.element()};
        const auto local = ask_user([&] { return store_.find(key); });
        if (!local) return Outcome::error_of(local.error());
        if (is_near_the_end(op, *local) && is_ahead(op, now)) return ahead_of(op, now);
        if (local->presence == part::Presence::absent && op.stamp.wall < store_.horizon() &&
            creates(op)) {
            return Outcome::kept_for(SyncErrc::too_old);
        }
        // A pending operation keeps its id: the claim of another one must not end it.
        if (!former_waits && has_former_id(op)) {
            const std::error_code error = remember_former_id(op, mark.hash);
            if (error) return Outcome::error_of(error);
        }
        return rule(key, op, *local, mark);
    }

    /// Returns the conflict of an operation that is not known yet; none if it is known. Changes
    /// nothing.
    [[nodiscard]] Result<std::optional<ConflictReason>> reason_of(std::string_view session,
                                                                  const Op& op) {
        const auto known = ask_user([&] { return store_.applied(op.id); });
        if (!known) return known.error();
        if (*known) return std::optional<ConflictReason>{};
        const part::ElementKey key{session, op.element()};
        const auto local = ask_user([&] { return store_.find(key); });
        if (!local) return local.error();
        const Result<ConflictEntry> entry = entry_of(key, op, *local);
        if (!entry) return entry.error();
        return entry->reason;
    }
    /// Returns the decision of the strategy, or of the table.
    [[nodiscard]] Answer decide(std::string_view session, const Op& op,
                                const ConflictReason& reason) {
        const part::ElementKey key{session, op.element()};
        const auto local = ask_user([&] { return store_.find(key); });
        if (!local) return Answer::pending();
        const Result<ConflictEntry> entry = entry_of(key, op, *local);
        if (!entry) return Answer::pending();
        if (!entry->reason) return Answer::keep_remote();
        if (entry->action != ConflictAction::strategy_decides) {
            return waits_for_add(op, *local) ? Answer::pending() : Answer::keep_local();
        }
        std::error_code error;
        std::optional<Value> there;
        return ask_strategy(key, op, *local, reason, there, error);
    }

private:
    /// Returns whether the time of an operation decides about it. An operation that names what its
    /// author saw is decided by that, and an Interaction changes nothing.
    [[nodiscard]] static bool needs_clock(const Op& op) noexcept {
        if (op.kind() == OperationKind::interaction) return false;
        if constexpr (HasSaw<Op>) return !op.saw;
        return true;
    }
    /// Returns whether an operation jumps to the end of time, where an element would soon have no
    /// later version. The next version of one that is there does not jump.
    [[nodiscard]] static bool is_near_the_end(const Op& op,
                                              const part::ElementState& local) noexcept {
        if (op.kind() == OperationKind::interaction) return false;
        return op.stamp.wall > WallTime::max() - std::chrono::hours{24} &&
               compare_moments(next_stamp(local.stamp), op.stamp) < 0;
    }
    [[nodiscard]] bool is_ahead(const Op& op, WallTime now) const noexcept {
        return op.stamp.wall > later(now, options_.skew_max);
    }
    [[nodiscard]] Outcome ahead_of(const Op& op, WallTime now) const {
        return Outcome::kept_for(SyncErrc::from_the_future,
                                 elapsed_wall(now, op.stamp.wall) - options_.skew_max);
    }
    [[nodiscard]] bool is_well_formed(const Op& op) const noexcept {
        const OperationKind kind = op.kind();
        const std::string_view element = op.element();
        const bool of_element = kind != OperationKind::interaction;
        // A store remembers an id once.
        if constexpr (HasFormerly<Op>) {
            if (op.formerly == op.id) return false;
        }
        return !is_no_id(op.id) && !is_no_id(op.stamp.origin) &&
               kind <= OperationKind::interaction && (!of_element || !element.empty()) &&
               element.size() <= options_.element_id_bytes_max;
    }
    /// Remembers the id under which an operation was rejected before it was stamped anew. If a
    /// network delivers that request again, its operation has other contents than this one.
    [[nodiscard]] std::error_code remember_former_id(const Op& op, std::uint64_t hash) {
        if constexpr (HasFormerly<Op>) {
            const auto known = ask_user([&] { return store_.applied(op.formerly); });
            if (!known) return known.error();
            if (*known) return {};
            const part::WriteMark mark{op.stamp, op.formerly, hash, part::Decision::applied};
            return ask_user([&] { return store_.remember(mark); });
        }
        return {};
    }
    /// The result of an operation that was sent before. A conflict is a conflict again, because its
    /// sender may never have received the first result.
    [[nodiscard]] Outcome decided_before(std::string_view session, const Op& op, std::uint64_t hash,
                                         const part::AppliedMark& known) {
        if (known.hash != hash) return Outcome::error_of(SyncErrc::id_reused);
        if (part::overwrites(known.decision)) return overwrote_before(op, known.decision);
        Outcome outcome = Outcome::of(OperationOutcome::duplicate);
        if (known.decision <= part::Decision::applied) return outcome;
        Stamp local{};
        if (known.decision == part::Decision::stale) {
            // With the stamp of now: the one that it was compared with is not kept.
            const part::ElementKey key{session, op.element()};
            const auto found = ask_user([&] { return store_.find(key); });
            if (!found) return Outcome::error_of(found.error());
            local = found->stamp;
        }
        outcome.contradict(reason_of(known.decision, local, op.stamp), Answer::Kind::keep_local);
        return outcome;
    }
    /// The result of an operation that replaced a version unseen, with that version, if the store
    /// still has it. If the version is damaged, the operation is applied all the same, and its
    /// outcome has the error: its sender would send it again for ever.
    [[nodiscard]] Outcome overwrote_before(const Op& op, part::Decision decision) {
        Outcome outcome = Outcome::of(OperationOutcome::duplicate);
        if constexpr (HasReplaced<Store>) {
            auto replaced = ask_user([&] { return store_.replaced(op.id); });
            if (!replaced) {
                outcome.error = replaced.error();
                const bool is_damaged = is_unreadable(outcome.error) ||
                                        outcome.error == SyncErrc::bad_operation ||
                                        outcome.error == SyncErrc::store_disagrees;
                return is_damaged ? std::move(outcome) : Outcome::error_of(outcome.error);
            }
            if (!*replaced) return outcome;
            outcome.contradict(reason_of(decision, (*replaced)->stamp, op.stamp),
                               Answer::Kind::keep_remote);
            outcome.conflict->replaced = std::move(*replaced);
        }
        return outcome;
    }
    /// Returns the reason of a conflict that was decided so.
    [[nodiscard]] static ConflictReason reason_of(part::Decision decision, const Stamp& local,
                                                  const Stamp& remote) noexcept {
        switch (decision) {
            case part::Decision::not_found:
                return ElementNotFound{};
            case part::Decision::already_exists:
            case part::Decision::overwrote_existing:
                return ElementAlreadyExists{};
            case part::Decision::stale:
            case part::Decision::overwrote_later:
                return StaleTimestamp{local, remote};
            default:
                return ConcurrentModification{};
        }
    }
    /// Returns the decision of an operation that is applied in spite of a conflict.
    [[nodiscard]] static part::Decision decision_over(const ConflictReason& reason) noexcept {
        if constexpr (!HasReplaced<Store>) return part::Decision::applied;
        constexpr part::Decision decisions[] = {
            part::Decision::applied, part::Decision::overwrote_existing,
            part::Decision::overwrote_later, part::Decision::overwrote_concurrent};
        return decisions[reason.index()];
    }
    [[nodiscard]] static part::Decision decision_of(const ConflictReason& reason) noexcept {
        constexpr part::Decision decisions[] = {part::Decision::not_found,
                                                part::Decision::already_exists,
                                                part::Decision::stale, part::Decision::concurrent};
        return decisions[reason.index()];
    }
    /// Returns whether an operation may make an absent element live.
    [[nodiscard]] bool creates(const Op& op) const noexcept {
        const OperationKind kind = op.kind();
        return kind == OperationKind::add ||
               (kind == OperationKind::update && (options_.upsert_updates || version_seen_by(op)));
    }
    [[nodiscard]] bool waits_for_add(const Op& op, const part::ElementState& local) const noexcept {
        return options_.upsert_updates && local.presence == part::Presence::absent &&
               op.kind() == OperationKind::update && !version_seen_by(op);
    }

    /// Returns the row of an operation, after the contents were compared if the row needs that.
    [[nodiscard]] Result<ConflictEntry> entry_of(const part::ElementKey& key, const Op& op,
                                                 const part::ElementState& local) {
        ConflictEntry entry = find_conflict(op.kind(), local, op.stamp, version_seen_by(op));
        if (entry.action != ConflictAction::compare_contents) return entry;
        std::optional<Value> there;
        const std::error_code error = read_live(key, local, there);
        if (error && may_heal(error)) return error;
        // A value that cannot be read is another one.
        if (!error && hash_of_value(*there, 0) == hash_of_value(op.value(), 0)) {
            entry.reason.reset();
        } else {
            entry.action = ConflictAction::strategy_decides;
        }
        return entry;
    }

    [[nodiscard]] Outcome rule(const part::ElementKey& key, const Op& op,
                               const part::ElementState& local, part::WriteMark& mark) {
        const Result<ConflictEntry> entry = entry_of(key, op, local);
        if (!entry) return Outcome::error_of(entry.error());
        switch (entry->action) {
            case ConflictAction::apply:
                return apply(key, op, local, mark);
            case ConflictAction::log:
                return write_or(mark, OperationOutcome::logged);
            case ConflictAction::compare_contents:  // they are equal
                return write_or(mark, OperationOutcome::applied);
            case ConflictAction::raise_tombstone:
                mark.stamp = larger(mark.stamp, local.stamp);
                return done(ask_user([&] { return store_.remove(key, mark); }),
                            OperationOutcome::applied);
            case ConflictAction::skip_and_keep_tombstone:
                mark.decision = decision_of(*entry->reason);
                return skipped(done(ask_user([&] { return store_.remove(key, mark); }),
                                    OperationOutcome::skipped),
                               *entry->reason);
            case ConflictAction::skip:
                if (waits_for_add(op, local)) return pending(*entry->reason);
                mark.decision = decision_of(*entry->reason);
                return skipped(write_or(mark, OperationOutcome::skipped), *entry->reason);
            case ConflictAction::strategy_decides:
                break;
        }
        return resolve(key, op, local, mark, *entry->reason);
    }

    [[nodiscard]] Outcome resolve(const part::ElementKey& key, const Op& op,
                                  part::ElementState local, part::WriteMark& mark,
                                  const ConflictReason& reason) {
        std::error_code error;
        std::optional<Value> there;
        const Answer answer = ask_strategy(key, op, local, reason, there, error);
        if (!error &&
            (answer.kind() == Answer::Kind::keep_remote || answer.kind() == Answer::Kind::merged)) {
            error = read_live(key, local, there);
        }
        if (error && !is_unreadable(error)) return Outcome::error_of(error);
        // An edit replaces a value that cannot be read.
        const std::error_code unreadable = std::exchange(error, {});
        Outcome outcome;
        switch (answer.kind()) {
            case Answer::Kind::pending:
                error = set_apart(key, op, local, there);
                return error ? Outcome::error_of(error) : pending(reason);
            case Answer::Kind::keep_local:
                error = set_apart(key, op, local, there);
                if (error) return Outcome::error_of(error);
                mark.decision = decision_of(reason);
                outcome = keep_version(key, local, mark);
                break;
            case Answer::Kind::keep_remote:
                mark.decision = decision_over(reason);
                outcome = apply(key, op, local, mark);
                break;
            case Answer::Kind::merged:
                mark.decision = decision_over(reason);
                mark.stamp = above(local.stamp, op.stamp);
                if (!(local.stamp < mark.stamp)) return Outcome::error_of(SyncErrc::end_of_time);
                outcome = done(ask_user([&] { return store_.add(key, answer.value(), mark); }),
                               OperationOutcome::applied);
                break;
        }
        if (outcome.error) return outcome;
        outcome.contradict(reason, answer.kind());
        if (outcome.outcome == OperationOutcome::applied) {
            outcome.error = unreadable;
            if (unreadable) return outcome;
            outcome.conflict->replaced.emplace(
                part::ReplacedVersion<Value>{local.stamp, std::move(there)});
        }
        return outcome;
    }
    /// The least origin that is not no_id.
    static constexpr Id least_id = [] {
        Id id{};
        id.back() = std::byte{1};
        return id;
    }();
    /// Gives the version here another stamp if `op` gives the same one to other contents, as copies
    /// of one device do. The author's next operation names that stamp. It means its own version,
    /// and would replace the one here unseen. That operation may have the next time and counter, so
    /// the stamp has the least origin: LastWriteWins then takes the operation, and reports the
    /// version here as replaced.
    [[nodiscard]] std::error_code set_apart(const part::ElementKey& key, const Op& op,
                                            part::ElementState& local,
                                            std::optional<Value>& there) {
        const Stamp next = stamp_above(local.stamp, least_id);
        const bool is_last = !(local.stamp < next);  // at the end of time nothing replaces it
        if (!version_seen_by(op) || op.stamp != local.stamp || is_last) return {};
        std::error_code error = read_live(key, local, there);
        if (error) return may_heal(error) ? error : std::error_code{};
        const part::WriteMark mark{next, no_id, 0, part::Decision::applied};
        error = ask_user(
            [&] { return there ? store_.update(key, *there, mark) : store_.remove(key, mark); });
        if (!error) local.stamp = next;
        return error;
    }
    /// Remembers an operation that loses. A removal is written again, and so becomes a new change:
    /// if the author has received a copy, which has no removals, its next edit can name this one.
    [[nodiscard]] Outcome keep_version(const part::ElementKey& key, const part::ElementState& local,
                                       part::WriteMark& mark) {
        if (local.presence != part::Presence::removed) {
            return write_or(mark, OperationOutcome::skipped);
        }
        mark.stamp = local.stamp;
        return done(ask_user([&] { return store_.remove(key, mark); }), OperationOutcome::skipped);
    }
    /// Reads the value of a live element, once.
    [[nodiscard]] std::error_code read_live(const part::ElementKey& key,
                                            const part::ElementState& local,
                                            std::optional<Value>& there) {
        if (there || local.presence != part::Presence::live) return {};
        auto read = ask_user([&] { return store_.read(key); });
        if (!read) return read.error();
        if (!*read) return SyncErrc::store_disagrees;
        there = std::move(*read);
        return {};
    }
    [[nodiscard]] Answer ask_strategy(const part::ElementKey& key, const Op& op,
                                      const part::ElementState& local, const ConflictReason& reason,
                                      std::optional<Value>& there, std::error_code& error) {
        ConflictSides<Op> sides{op, reason, local.stamp};
        if constexpr (needs_values<Strategy>()) {
            error = read_live(key, local, there);
            if (error && !is_unreadable(error)) return Answer::pending();
            if (there) sides.local_value = &*there;
            const OperationKind kind = op.kind();
            if (kind == OperationKind::add || kind == OperationKind::update) {
                sides.remote_value = &op.value();
            }
            if constexpr (HasBase<Op>) sides.base_value = op.base();
        }
        return strategy_(sides);
    }

    [[nodiscard]] Outcome apply(const part::ElementKey& key, const Op& op,
                                const part::ElementState& local, part::WriteMark& mark) {
        if (local.presence != part::Presence::absent && mark.stamp <= local.stamp) {
            // Each write makes a version of its own. With an equal stamp, an author who saw what is
            // replaced here would seem to have seen this version.
            mark.stamp = stamp_above(local.stamp, op.stamp.origin);
            if (!(local.stamp < mark.stamp)) return Outcome::error_of(SyncErrc::end_of_time);
        }
        const bool is_live = local.presence == part::Presence::live;
        return done(ask_user([&]() -> std::error_code {
                        switch (op.kind()) {
                            case OperationKind::add:
                                return store_.add(key, op.value(), mark);
                            case OperationKind::update:
                                return is_live ? store_.update(key, op.value(), mark)
                                               : store_.add(key, op.value(), mark);
                            default:
                                return store_.remove(key, mark);
                        }
                    }),
                    OperationOutcome::applied);
    }
    [[nodiscard]] Outcome write_or(const part::WriteMark& mark, OperationOutcome outcome) {
        return done(ask_user([&] { return store_.remember(mark); }), outcome);
    }
    [[nodiscard]] static Outcome done(const std::error_code& error, OperationOutcome outcome) {
        return error ? Outcome::error_of(error) : Outcome::of(outcome);
    }
    [[nodiscard]] static Outcome skipped(Outcome outcome, const ConflictReason& reason) {
        if (outcome.error) return outcome;
        outcome.contradict(reason, Answer::Kind::keep_local);
        return outcome;
    }
    [[nodiscard]] static Outcome pending(const ConflictReason& reason) {
        Outcome outcome = Outcome::of(OperationOutcome::pending);
        outcome.contradict(reason, Answer::Kind::pending);
        return outcome;
    }

    Store& store_;
    Strategy& strategy_;
    const SyncOptions& options_;
};

}}}  // namespace belay::detail
