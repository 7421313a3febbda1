// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_server_check.hpp
/// check::sync_server: checks that a server of a Replica is correct. For tests of servers.
#pragma once

#include <concepts>     // std::invocable, std::same_as
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <map>          // std::map
#include <optional>     // std::optional
#include <set>          // std::set
#include <span>         // std::span
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::invoke_result_t, std::remove_cvref_t
#include <utility>      // std::as_const, std::move, std::pair
#include <vector>       // std::vector

#include <belay/core/detail/rule_check.hpp>
#include <belay/core/random.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// A rule that a server of a Replica must follow and the compiler cannot check; see
/// part::SyncServerLike.
enum class SyncServerRule : std::uint8_t {
    takes_what_it_should,
    accounts_for_each_operation,
    applies_what_saw_the_present,
    applies_each_once,
    lists_its_effects,
    lists_only_changes,
    ends_its_pages,
    copies_for_new_readers,
    answers_about_unwritable_values,
    copies_for_other_cursors,
    applies_what_is_there
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(SyncServerRule rule) noexcept {
    constexpr const char* sentences[] = {
        "send and changes return no error",
        "a result has one outcome for each operation of its batch, and its counts agree",
        "an operation that saw the present version is applied",
        "operations that are sent again change nothing, and those that lost lose again",
        "changes lists the effects of everything that send has returned",
        "changes lists nothing to a reader that has everything, unless it sends a copy",
        "changes ends: each page moves the cursor, few are empty, and one of them is the last",
        "a new reader gets a copy of what the others have",
        "a value without a written form is listed alone, with an error, and an edit replaces it",
        "a reader whose cursor is of another store, or ahead, gets a copy and the reason for it",
        "an operation whose version is the present one is applied, and changes nothing"};
    return detail::sentence_of(rule, sentences);
}

/// The first fault that check::sync_server found.
struct SyncServerFault {
    /// The broken rule; to_string() has its sentence.
    SyncServerRule rule{};
    /// The number of the history that broke it. The same server breaks it there again.
    std::uint64_t history = 0;
    /// The number of batches before the fault.
    std::uint64_t step = 0;
};

/// The length of a run of check::sync_server.
struct SyncServerOptions {
    /// The number of histories. Each calls `make` for a new server, and draws from its own seed.
    std::uint64_t histories = 20;
    /// The number of batches in a history.
    std::size_t steps = 60;
};

}}}  // namespace belay::check

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Stands for a server whose values can all be written.
struct NeverSpoiledServer {};
template <class Spoil, class Server>
concept SpoilsServer =
    std::same_as<Spoil, NeverSpoiledServer> ||
    std::invocable<Spoil&, std::remove_cvref_t<Server>&, std::string_view, const Stamp&>;

/// An author, two readers, and the rule that was broken first.
template <class Server, class Value, class ToValue, WallClockLike WallClock>
class SyncServerChecker : public RuleCheck<check::SyncServerRule> {
    using Op = Operation<Value>;
    static_assert(explain::sync_server_like<Server, Op>());

public:
    SyncServerChecker(Server server, ToValue& value, Random bits, WallClock clock)
        : server_{std::move(server)},
          value_{value},
          bits_{bits},
          clock_{make_id(bits_), std::move(clock)} {
        // From the start: a later copy has no removals, and an author must have seen them.
        read(follower_, Rule::copies_for_new_readers);
    }

    void step() {
        std::vector<Op> batch;
        for (std::uint64_t i = 1 + bits_() % 4; i > 0; --i) batch.push_back(next_edit());
        const bool is_late = bits_() % 4 == 0 && batch.front().saw->origin != no_id;
        if (is_late) {
            // An author who saw an earlier version, and whose clock is behind.
            batch = {batch.front()};
            versions_ = confirmed_;
            batch[0].saw = Stamp{};
            batch[0].stamp.wall = later(batch[0].stamp.wall, -std::chrono::seconds{30});
        }
        const auto conflicts = send(batch, is_late);
        read(follower_, Rule::lists_its_effects);
        if (!is_late) expect(has_what_was_sent(), Rule::lists_its_effects);
        const Reader before = follower_;
        const auto again = send(batch, true);
        expect(again == conflicts, Rule::applies_each_once);
        read(follower_, Rule::lists_only_changes);
        expect(follower_.has == before.has, Rule::applies_each_once);
        versions_ = confirmed_ = versions_of(follower_);
        if (bits_() % 4 == 0) meet_the_present_version();
        if (bits_() % 8 == 0) {
            Reader fresh;
            read(fresh, Rule::copies_for_new_readers);
            expect(fresh.has == follower_.has && fresh.copied_once, Rule::copies_for_new_readers);
            meet_other_cursors();
        }
    }
    /// Sends more operations than a server may take at once, which it may keep for later, and one
    /// that is to wait for the first of them.
    void send_a_long_batch() {
        std::vector<Op> batch;
        for (int i = 0; i < 200; ++i) {
            Op ahead;
            ahead.id = make_id(bits_);
            ahead.stamp = clock_.stamp();
            ahead.stamp.wall = later(ahead.stamp.wall, std::chrono::hours{24 * 365});
            ahead.action = AddElement<Value>{"h" + std::to_string(i), value_(++last_)};
            batch.push_back(std::move(ahead));
        }
        Op after = batch.front();
        after.id = make_id(bits_);
        after.stamp = next_stamp(after.stamp);
        after.action = RemoveElement{"h0"};
        batch.push_back(std::move(after));
        static_cast<void>(send(batch, true));
        read(follower_, Rule::lists_its_effects);
        versions_ = confirmed_ = versions_of(follower_);
    }
    /// Meets a value that no answer can carry: the readers get all other changes, an author who has
    /// not seen it edits its element, and the element is removed afterwards.
    template <class Spoil>
    void meet_unwritable(Spoil& spoil) {
        constexpr Rule rule = Rule::answers_about_unwritable_values;
        const std::string element = "f";
        Stamp there = clock_.stamp();
        spoil(server_, std::string_view{element}, std::as_const(there));
        pass(element);
        if (broken_) return;
        Op edit;
        edit.id = make_id(bits_);
        edit.stamp = clock_.stamp_above(there).value();
        edit.action = AddElement<Value>{element, value_(++last_)};
        edit.saw = Stamp{};
        const auto first = sent({edit}, rule);
        const auto again = sent({edit}, rule);
        expect(first && again && first->failed == 0, rule);
        if (broken_) return;
        expect(first->conflicts == again->conflicts && again->failed == 0, Rule::applies_each_once);
        if (first->conflicts.empty()) {
            read(follower_, rule);
            const auto at = follower_.has.find(element);
            expect(at != follower_.has.end() && follower_.unreadable.empty(),
                   Rule::lists_its_effects);
            if (broken_) return;
            there = at->second.first;  // a strategy may have merged
        }
        Op removal;
        removal.id = make_id(bits_);
        removal.stamp = clock_.stamp_above(edit.stamp < there ? there : edit.stamp).value();
        removal.action = RemoveElement{element};
        removal.saw = there;
        const auto gone = sent({removal}, rule);
        expect(gone && gone->conflicts.empty() && gone->failed == 0, rule);
        if (broken_) return;
        read(follower_, rule);
        expect(follower_.has.count(element) + follower_.unreadable.count(element) == 0,
               Rule::lists_its_effects);
        versions_ = confirmed_ = versions_of(follower_);
    }

private:
    using Versions = std::map<std::string, std::pair<Stamp, std::optional<Value>>>;
    struct Reader {
        std::map<std::string, std::pair<Stamp, Value>> has{};
        std::map<std::string, Stamp> removed{};
        std::set<std::string> unreadable{};
        part::StoreCursor cursor{};
        bool copied_once = false;
    };

    [[nodiscard]] static WallTime later(WallTime wall, Duration by) noexcept {
        return WallTime{wall.time_since_epoch() + by};
    }
    /// An edit of the newest version that the author knows, its own included.
    [[nodiscard]] Op next_edit() {
        const std::string element{static_cast<char>('a' + bits_() % 5)};
        const auto at = versions_.find(element);
        Op edit;
        edit.id = make_id(bits_);
        edit.saw = at != versions_.end() ? at->second.first : Stamp{};
        edit.stamp = clock_.stamp_above(*edit.saw).value();
        const bool live = at != versions_.end() && at->second.second;
        std::optional<Value> now;
        if (bits_() % 4 == 0) {
            edit.action = RemoveElement{element};
        } else {
            now = value_(++last_);
            if (live) {
                edit.action = UpdateElement<Value>{element, *now, at->second.second};
            } else {
                edit.action = AddElement<Value>{element, *now};
            }
        }
        versions_[element] = {edit.stamp, now};
        return edit;
    }
    struct Sent {
        std::set<Id> conflicts{};
        std::size_t failed = 0;
        std::size_t overwrote = 0;
    };
    /// Sends a batch.   Returns: the ids of the conflicts.
    std::set<Id> send(const std::vector<Op>& batch, bool may_lose) {
        auto done = sent(batch, Rule::takes_what_it_should);
        if (!done) return {};
        expect(may_lose || (done->conflicts.empty() && done->failed == 0),
               Rule::applies_what_saw_the_present);
        return std::move(done->conflicts);
    }
    /// Sends a batch.   Returns: nothing if there is no result, which breaks the rule `answers`.
    std::optional<Sent> sent(const std::vector<Op>& batch, Rule answers) {
        const auto result = server_.send(std::span<const Op>{batch});
        expect(static_cast<bool>(result), answers);
        if (!result) return std::nullopt;
        std::set<Id> left;
        for (const Op& one : batch) left.insert(one.id);
        Sent done{{}, result->failed_operations.size(), result->overwrote.size()};
        bool once = true;
        for (const auto& one : result->conflicts) {
            once = left.erase(one.operation.id) == 1 && once;
            done.conflicts.insert(one.operation.id);
        }
        for (const auto& one : result->failed_operations) {
            once = left.erase(one.operation.id) == 1 && once;
        }
        expect(once && result->synced_count == left.size() &&
                   result->conflict_count == result->conflicts.size() &&
                   result->failed_count == result->failed_operations.size(),
               Rule::accounts_for_each_operation);
        return done;
    }
    /// Makes a change behind that of an element without a written form. Each reader must get it,
    /// and a value or an error for the element.
    void pass(const std::string& element) {
        constexpr Rule rule = Rule::answers_about_unwritable_values;
        Op other;
        other.id = make_id(bits_);
        other.stamp = clock_.stamp();
        other.action = AddElement<Value>{"g", value_(++last_)};
        other.saw = Stamp{};
        const auto done = sent({other}, rule);
        expect(done && done->conflicts.empty() && done->failed == 0, rule);
        Reader fresh;
        for (Reader* const reader : {&follower_, &fresh}) {
            if (broken_) return;
            read(*reader, rule);
            const std::size_t listed =
                reader->has.count(element) + reader->unreadable.count(element);
            expect(listed == 1 && reader->has.count("g") == 1, rule);
        }
        expect(fresh.has == follower_.has && fresh.unreadable == follower_.unreadable, rule);
        if (!broken_) read(follower_, Rule::lists_only_changes);
    }
    /// Sends a version that the server has, as a device that restores it does after another one.
    /// The author had seen an earlier version.
    void meet_the_present_version() {
        if (follower_.has.empty() || broken_) return;
        auto at = follower_.has.begin();
        for (auto skipped = bits_() % follower_.has.size(); skipped > 0; --skipped) ++at;
        Op same;
        same.id = make_id(bits_);
        same.stamp = at->second.first;
        same.saw = Stamp{};
        same.action = AddElement<Value>{at->first, at->second.second};
        if (bits_() % 2 == 0) same.action = UpdateElement<Value>{at->first, at->second.second, {}};
        const auto done = sent({same}, Rule::applies_what_is_there);
        expect(done && done->conflicts.empty() && done->failed == 0 && done->overwrote == 0,
               Rule::applies_what_is_there);
        const Reader before = follower_;
        read(follower_, Rule::applies_what_is_there);
        expect(follower_.has == before.has && follower_.removed == before.removed,
               Rule::applies_what_is_there);
    }
    /// Asks with the cursor of another store, and with one of changes that the server has lost. A
    /// server without a list of changes has no cursor, and one without epochs need not say why it
    /// sends a copy.
    void meet_other_cursors() {
        const part::StoreCursor own = follower_.cursor;
        if (own.store == no_id) return;
        part::StoreCursor other = own;
        other.store = make_id(bits_);
        part::StoreCursor ahead = own;
        ahead.changes += 1'000'000;
        ahead.seen = ahead.changes;
        for (const part::StoreCursor& cursor : {other, ahead}) {
            const auto page = server_.changes(cursor);
            expect(page && page->begins_copy && (own.epoch == 0 || page->other_history),
                   Rule::copies_for_other_cursors);
        }
    }
    /// Reads to the end of the changes.
    void read(Reader& reader, Rule rule) {
        std::set<std::string> copied;
        bool copies = false;
        std::size_t empty_pages = 0;  // in a row
        for (int pages = 0;; ++pages) {
            const auto page = server_.changes(reader.cursor);
            const bool is_bad = rule == Rule::answers_about_unwritable_values;
            expect(static_cast<bool>(page), is_bad ? rule : Rule::takes_what_it_should);
            if (!page) return;
            const bool moved = page->next != reader.cursor || page->begins_copy;
            empty_pages = page->changes.empty() ? empty_pages + 1 : 0;
            const bool ends = pages < 10'000 && empty_pages < part::empty_pages_max;
            expect(!page->more || (moved && ends), Rule::ends_its_pages);
            if (broken_) return;
            copies = copies || page->begins_copy;
            if (!copies) expect(page->changes.empty() || rule != Rule::lists_only_changes, rule);
            for (const auto& change : page->changes) {
                copied.insert(change.id);
                reader.has.erase(change.id);
                reader.removed.erase(change.id);
                reader.unreadable.erase(change.id);
                expect(!change.value || !change.error, rule);
                if (change.value) {
                    reader.has.insert({change.id, {change.stamp, *change.value}});
                } else if (change.error) {
                    reader.unreadable.insert(change.id);
                } else {
                    reader.removed[change.id] = change.stamp;
                }
            }
            reader.cursor = page->next;
            if (!page->more) break;
        }
        reader.copied_once = reader.copied_once || copies;
        if (!copies) return;
        for (auto at = reader.has.begin(); at != reader.has.end();) {
            const auto one = at++;
            if (copied.count(one->first) == 0) reader.has.erase(one);
        }
        std::erase_if(reader.unreadable, [&](const auto& id) { return copied.count(id) == 0; });
    }
    [[nodiscard]] bool has_what_was_sent() const {
        std::size_t live = 0;
        for (const auto& [element, version] : versions_) {
            if (!version.second) continue;
            ++live;
            const auto at = follower_.has.find(element);
            if (at == follower_.has.end() || !(at->second.second == *version.second)) return false;
        }
        return live == follower_.has.size();
    }
    [[nodiscard]] static Versions versions_of(const Reader& reader) {
        Versions versions;
        for (const auto& [element, version] : reader.has) {
            versions[element] = {version.first, version.second};
        }
        for (const auto& [element, stamp] : reader.removed) versions[element] = {stamp, {}};
        return versions;
    }

    Server server_;
    ToValue& value_;
    Random bits_;
    HybridClock<WallClock> clock_;
    Reader follower_{};
    Versions versions_{};
    Versions confirmed_{};
    std::uint64_t last_ = 0;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Runs random histories of batches against a server of a Replica, and returns the first fault, if
/// any.
///
///     const auto fault = check::sync_server(make, [](auto i) { return Note{i}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new server, whose session is empty.
/// - `value(i)` returns the value with the number `i`. Values have ==.
/// - `spoil(server, element, stamp)`, for a server that writes values as bytes or text: makes the
///   element live in the server's store, with this stamp and a value that has no written form. The
///   check calls it once after each history.
///
/// Some operations name a version that is not the present one. Any strategy may decide these.
/// Errors:     the fault.   Throws: what the server and the other arguments throw.
template <class Make, class Value, class Spoil, WallClockLike WallClock = SystemClock>
    requires detail::SpoilsServer<Spoil, std::invoke_result_t<Make&>>
[[nodiscard]] std::optional<SyncServerFault> sync_server(Make make, Value value, Spoil spoil,
                                                         SyncServerOptions options = {},
                                                         WallClock clock = {}) {
    using Server = std::remove_cvref_t<std::invoke_result_t<Make&>>;
    using V = std::remove_cvref_t<decltype(value(std::uint64_t{1}))>;
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::SyncServerChecker<Server, V, Value, WallClock> checker{
            make(), value, Random{Seed{history}}, clock};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (step < options.steps) {
                checker.step();
            } else {
                checker.send_a_long_batch();
                if constexpr (!std::same_as<Spoil, detail::NeverSpoiledServer>) {
                    if (!checker.broken()) checker.meet_unwritable(spoil);
                }
            }
            if (checker.broken()) return SyncServerFault{*checker.broken(), history, step};
        }
    }
    return std::nullopt;
}

/// Checks a server in the same way, without values that have no written form.
template <class Make, class Value, WallClockLike WallClock = SystemClock>
[[nodiscard]] std::optional<SyncServerFault> sync_server(Make make, Value value,
                                                         SyncServerOptions options = {},
                                                         WallClock clock = {}) {
    return sync_server(std::move(make), std::move(value), detail::NeverSpoiledServer{}, options,
                       std::move(clock));
}

}}}  // namespace belay::check
