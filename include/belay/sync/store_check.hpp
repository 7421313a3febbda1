// SPDX-License-Identifier: MIT
/// \file belay/sync/store_check.hpp
/// StoreRule: the rules that check::store checks.
/// check::store: checks that a store is correct. For tests of stores; sync.hpp does not include it.
#pragma once

#include <algorithm>    // std::max
#include <concepts>     // std::same_as, std::equality_comparable
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <limits>       // std::numeric_limits
#include <map>          // std::map
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::exchange, std::move, std::pair
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/core/random.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// A rule that a store must follow and the compiler cannot check; see StoreLike.
enum class StoreRule : std::uint8_t {
    starts_empty,
    takes_what_it_should,
    finds_what_was_written,
    reads_what_was_written,
    reads_only_what_is_live,
    update_needs_a_live_element,
    rejection_changes_nothing,
    knows_applied_operations,
    knows_their_decisions,
    knows_no_others,
    expire_keeps_what_is_live,
    expire_keeps_later_tombstones,
    horizon_never_goes_back,
    transaction_runs_once,
    transaction_answers_its_error,
    transaction_keeps_everything,
    transaction_undoes_everything,
    move_keeps_everything,
    reopening_keeps_everything,
    confirms_nothing_when_displaced,
    continues_when_its_file_is_back,
    changes_lead_to_what_it_has,
    lists_only_changes,
    copies_for_other_cursors,
    remembers_what_was_replaced,
    lists_every_write,
    cursors_move_on,
    copies_note_where_they_begin,
    visits_what_is_live,
    remembers_no_unnamed_write,
    keeps_notes,
    notes_are_no_changes
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(StoreRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new store has no element and no remembered operation",
        "add, remove and remember accept everything, and update accepts an element that exists",
        "find returns the last write of the element in its session, and its stamp",
        "read returns the last value that was written",
        "read returns nothing for an absent or removed element",
        "update rejects an absent or removed element",
        "a rejected update changes and remembers nothing",
        "applied returns the hash that came with the operation, even if the operation changed "
        "nothing",
        "applied returns the decision that came with the operation",
        "applied returns nothing for an operation that never came",
        "expire changes no element that exists",
        "expire keeps the tombstones at the horizon and after it",
        "the horizon never decreases",
        "transaction runs its body once",
        "transaction returns the error of its body, and passes its exceptions on",
        "a transaction keeps all changes of its body",
        "a transaction whose body returns an error or throws changes nothing, and remembers no "
        "operation",
        "a moved store keeps everything",
        "a store that is closed and opened again keeps everything",
        "a store whose path leads to another file, or to none, confirms nothing",
        "a store whose file is at its path again continues, with everything it had",
        "a reader that applies the pages of changes_since has the elements of the session",
        "changes_since lists nothing twice, and nothing to a reader that has everything",
        "changes_since begins a copy for a cursor of another store or ahead of it, and no other "
        "unless removals were forgotten",
        "replaced returns the version in whose place an operation that overwrites put its own, and "
        "nothing for other operations",
        "each add, update and remove is a new change for changes_since, also a removal of what is "
        "removed or absent",
        "a cursor of changes_since stays in its store and never goes back, and each page with more "
        "pages after it moves it, except at the beginning of a copy",
        "the cursor of a copy has the number of the last change when the copy began",
        "for_each visits each live element of the session once, with its value and stamp, and no "
        "other",
        "a write whose mark has no id changes the element, and remembers no operation",
        "note returns the last bytes that set_note was given for the name, and none for other "
        "names",
        "set_note changes no element, and is no new change for changes_since"};
    return detail::sentence_of(rule, sentences);
}

/// The first fault that check::store found.
struct StoreFault {
    /// The broken rule.
    StoreRule rule{};
    /// The number of the history that broke it. The same store breaks the rule in the same history
    /// again.
    std::uint64_t history = 0;
    /// The number of steps before the fault.
    std::uint64_t step = 0;
};

/// The length of a run of check::store.
struct StoreOptions {
    /// The number of histories. Each begins with a new store, and draws from its own seed.
    std::uint64_t histories = 100;
    /// The number of writes, transactions, moves and other steps in a history.
    std::size_t steps = 200;
    /// The number of latest operations that the store must know; it may know more. If it has
    /// `replaced`, it must know what they replaced, too.
    std::size_t ids_remembered = 50;
};

}  // namespace check

namespace detail {

struct NeverReopenedStore {
    void operator()() const noexcept {}
};
struct NeverDisplacedStore {
    void operator()(bool /*away*/) const noexcept {}
};

/// A store, and a model of everything that a correct one would contain.
template <class Make, class Value, class Reopen>
class StoreChecker : public RuleCheck<check::StoreRule> {
public:
    StoreChecker(Make& make, Value& value, Reopen& reopen, std::size_t ids, Random bits)
        : value_{value}, reopen_{reopen}, ids_{ids}, bits_{bits}, store_{make()} {
        for (const std::string_view session : sessions) {
            for (const std::string_view id : elements)
                look_at(Name{session, id}, Rule::starts_empty);
            look_at(Name{session, ""}, Rule::starts_empty);
        }
        knows(id_of(1), nullptr, Rule::starts_empty);
    }

    void step() {
        if constexpr (HasChangesSince<Store>) read_changes();
        const std::uint64_t what = bits_() % 32;
        // A fault from before must not be attributed to the next step.
        if (what % 4 == 0 || what >= 22) same_as_before(Rule::finds_what_was_written);
        if (what < 18) {
            write(Rule::takes_what_it_should);
        } else if (what < 20) {
            rejected_update();
        } else if (what < 21) {
            remember();
        } else if (what < 22) {
            if constexpr (HasNotes<Store>) set_note();
        } else if (what < 24) {
            expire();
        } else if (what < 25) {
            Store moved{std::move(*store_)};
            *store_ = std::move(moved);
            same_as_before(Rule::move_keeps_everything);
        } else if (what < 26) {
            if constexpr (!std::same_as<Reopen, NeverReopenedStore>) {
                store_.reset();
                store_.emplace(reopen_());
                same_as_before(Rule::reopening_keeps_everything);
            }
        } else if constexpr (HasTransaction<Store>) {
            transact(static_cast<BodyEnd>(what % 3));
        }
    }
    /// Reads all changes at once with a new reader and with the others. For the end of a history.
    void read_to_the_end() {
        if constexpr (HasChangesSince<Store>) {
            for (int i = 0; i < 200; ++i) read_changes();
            foreign_cursors();
        }
    }
    /// Moves the store's file away and back. Nothing is confirmed meanwhile.
    template <class Displace>
    void displace(Displace& displace) {
        for (int i = 0; i < 5; ++i) write(Rule::takes_what_it_should);
        displace(true);
        const Name name = any_name();
        const part::ElementKey key{name.first, name.second};
        const auto rejected = [&](auto&& change) {
            const part::WriteMark mark = new_mark();
            expect(static_cast<bool>(change(mark)), Rule::confirms_nothing_when_displaced);
            return mark.operation;
        };
        const Id ids[] = {
            rejected([&](const auto& mark) { return store_->add(key, value_(last_), mark); }),
            rejected([&](const auto& mark) { return store_->remove(key, mark); }),
            rejected([&](const auto& mark) { return store_->remember(mark); })};
        if constexpr (HasNotes<Store>) {
            const Bytes other{std::byte{7}};
            expect(static_cast<bool>(store_->set_note("a", other)),
                   Rule::confirms_nothing_when_displaced);
        }
        if constexpr (HasTransaction<Store>) {
            auto body = [&] { return store_->remember(new_mark()); };
            expect(static_cast<bool>(store_->transaction(body)),
                   Rule::confirms_nothing_when_displaced);
        }
        displace(false);
        same_as_before(Rule::continues_when_its_file_is_back);
        for (const Id& id : ids) {
            knows(id, nullptr, Rule::continues_when_its_file_is_back);
        }
        for (int i = 0; i < 5; ++i) write(Rule::continues_when_its_file_is_back);
        store_.reset();
        store_.emplace(reopen_());
        same_as_before(Rule::continues_when_its_file_is_back);
    }

private:
    using Store = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    static_assert(explain::store_like<Store>());
    using Given = ValueOfStore<Store>;
    static_assert(std::equality_comparable<Given>, "check::store: values must be comparable by ==");
    // Names are bytes: those that a database may take for equal are different.
    static constexpr std::string_view sessions[] = {"one", {"one\0two", 7}, ""};
    static constexpr std::string_view elements[] = {"a", "A", {"a\0\xFF", 3}, "a "};
    static constexpr std::size_t readers = 4;

    struct Element {
        part::ElementState state{};
        std::uint64_t value = 0;
    };
    using Name = std::pair<std::string, std::string>;
    struct Model {
        std::map<Name, Element> elements{};
        std::map<Id, Element> replaced{};
        std::map<std::string, Bytes> notes{};
        std::vector<part::WriteMark> known{};
        std::set<std::string> due[readers]{};  // written since the reader's last page with it
        WallTime horizon = WallTime::min();
    };

    /// Applies the pages of changes_since to what it has.
    struct Reader {
        std::map<std::string, std::pair<Stamp, Given>> has{};
        std::set<std::string> copied{};  // since the copy began, which is not complete
        part::StoreCursor cursor{};
        bool copies = false;
        bool may_copy = true;  // it is new, or removals may have been forgotten
    };

    /// Each byte counts: an even number and the next one differ in the last byte only.
    [[nodiscard]] static Id id_of(std::uint64_t number) noexcept {
        return id_of(mix64(number / 2), mix64(~(number / 2)) ^ (number % 2) << 63U);
    }
    [[nodiscard]] static Id id_of(std::uint64_t first, std::uint64_t second) noexcept {
        Id id{};
        store_le<std::uint64_t>(id.data(), first);
        store_le<std::uint64_t>(id.data() + 8, second);
        return id;
    }
    [[nodiscard]] Stamp new_stamp() {
        const std::uint64_t kind = bits_() % 16;
        if (kind == 0) {
            // Each bit counts, also those of times that no clock shows.
            const auto time = static_cast<std::int64_t>(bits_() >> 1U);
            const auto counter = static_cast<std::uint32_t>(bits_());
            const std::uint64_t first = bits_();
            const std::uint64_t second = bits_();
            const Id origin = first % 4 != 0 ? id_of(first, second) : no_id;
            return {WallTime{Duration{time}}, counter, origin};
        }
        // Days, so that a store that keeps tombstones for days comes to forget some.
        const auto day = std::chrono::hours{24} * static_cast<std::int64_t>(bits_() % 60);
        WallTime wall{std::chrono::hours{24} * 365 * 30 + day};
        // Some are before the horizon: an element that is live may be changed at any age.
        if (wall < store_->horizon() && kind != 1) wall = store_->horizon();
        return {wall, static_cast<std::uint32_t>(bits_() % 3), id_of(bits_() % 3 + 1)};
    }
    [[nodiscard]] part::WriteMark new_mark() {
        const Stamp stamp = new_stamp();
        ++last_;
        return {stamp, id_of(last_), mix64(last_), static_cast<part::Decision>(last_ % 6)};
    }
    [[nodiscard]] Name any_name() {
        const std::string_view session = sessions[bits_() % std::size(sessions)];
        return Name{session, elements[bits_() % std::size(elements)]};
    }

    /// Nothing needs for_each to visit what a transaction has not committed.
    void write(Rule rule, bool is_committed = true) {
        const Name name = any_name();
        const part::ElementKey key{name.first, name.second};
        part::WriteMark mark = new_mark();
        Element& element = model_.elements[name];
        if constexpr (HasReplaced<Store>) {
            // An operation with the stamp of the version that is there overwrites nothing.
            const bool is_other = mark.stamp != element.state.stamp;
            const bool is_there = element.state.presence != part::Presence::absent;
            if (is_there && is_other && bits_() % 2 == 0) {
                constexpr auto first = static_cast<int>(part::Decision::overwrote_existing);
                mark.decision = static_cast<part::Decision>(first + static_cast<int>(bits_() % 3));
                model_.replaced[mark.operation] = element;
            }
        }
        const std::uint64_t what = bits_() % 3;
        // As the removal that an operation lost against is written again.
        const bool is_removed = element.state.presence == part::Presence::removed;
        if (what == 0 && is_removed && !part::overwrites(mark.decision) && bits_() % 2 == 0) {
            mark.stamp = element.state.stamp;
        }
        std::error_code error;
        if constexpr (HasNotes<Store>) {
            if (!part::overwrites(mark.decision) && bits_() % 8 == 0) mark.operation = no_id;
        }
        if constexpr (HasPrefetch<Store>) store_->prefetch(key, mark.operation);
        if (what == 0) {
            error = store_->remove(key, mark);
        } else if (what == 1 && element.state.presence == part::Presence::live) {
            error = store_->update(key, value_(last_), mark);
        } else {
            error = store_->add(key, value_(last_), mark);
        }
        expect(!error, rule);
        element = {{what == 0 ? part::Presence::removed : part::Presence::live, mark.stamp}, last_};
        for (std::size_t who = 0; who < readers; ++who) {
            if (session_of(who) == name.first) model_.due[who].insert(name.second);
        }
        if (mark.operation == no_id) {
            knows(no_id, nullptr, Rule::remembers_no_unnamed_write);
        } else {
            note(mark);
        }
        look_at(name, Rule::finds_what_was_written);
        if constexpr (HasForEach<Store>) {
            if (is_committed) visit(name.first, Rule::finds_what_was_written);
        }
    }
    void rejected_update() {
        const Name name = any_name();
        const auto at = model_.elements.find(name);
        if (at != model_.elements.end() && at->second.state.presence == part::Presence::live)
            return;
        const part::WriteMark mark = new_mark();
        expect(static_cast<bool>(store_->update({name.first, name.second}, value_(last_), mark)),
               Rule::update_needs_a_live_element);
        look_at(name, Rule::rejection_changes_nothing);
        knows(mark.operation, nullptr, Rule::rejection_changes_nothing);
    }
    void remember() {
        const part::WriteMark mark = new_mark();
        expect(!store_->remember(mark), Rule::takes_what_it_should);
        note(mark);
    }
    void set_note() {
        const std::string name = any_name().second;
        Bytes bytes(bits_() % 5 * 40, static_cast<std::byte>(bits_()));
        const std::string_view session = sessions[bits_() % std::size(sessions)];
        const auto page = [&] {
            if constexpr (HasChangesSince<Store>) {
                return store_->changes_since(session, readers_[0].cursor, 5);
            } else {
                return Result<int>{0};
            }
        };
        const auto before = page();
        expect(!store_->set_note(name, bytes), Rule::takes_what_it_should);
        const auto after = page();
        expect(before && after && *before == *after, Rule::notes_are_no_changes);
        model_.notes[name] = std::move(bytes);
        has_notes(Rule::keeps_notes);
        for (const std::string_view id : elements) {
            look_at({std::string{session}, std::string{id}}, Rule::notes_are_no_changes);
        }
    }
    void has_notes(Rule rule) {
        for (const std::string_view name : elements) {
            const auto at = model_.notes.find(std::string{name});
            const Result<Bytes> note = store_->note(name);
            expect(note && *note == (at != model_.notes.end() ? at->second : Bytes{}), rule);
        }
    }
    void note(const part::WriteMark& mark) {
        model_.known.push_back(mark);
        knows(mark.operation, &mark, Rule::knows_applied_operations);
        // Also within a transaction, which is not the cause if a write forgets older ones.
        const std::size_t count = model_.known.size();
        if (ids_ != 0) {
            const part::WriteMark& oldest = model_.known[count > ids_ ? count - ids_ : 0];
            knows(oldest.operation, &oldest, Rule::knows_applied_operations);
        }
        knows(id_of(last_ + 1), nullptr, Rule::knows_no_others);
    }

    [[nodiscard]] static std::string_view session_of(std::size_t reader) noexcept {
        return sessions[reader % std::size(sessions)];
    }
    /// One reader reads one page, of a session of its own.
    void read_changes() {
        const std::size_t who = bits_() % readers;
        Reader& reader = readers_[who];
        const std::uint64_t size = bits_() % 6;
        const std::size_t most = size != 0 ? size : std::numeric_limits<std::size_t>::max();
        const auto page = store_->changes_since(session_of(who), reader.cursor, most);
        expect(page && page->changes.size() <= most, Rule::changes_lead_to_what_it_has);
        if (!page) return;
        expect(!page->begins_copy || reader.may_copy, Rule::copies_for_other_cursors);
        check_cursor(who, *page);
        if (page->begins_copy) reader.copied.clear();
        if (page->begins_copy) model_.due[who].clear();
        reader.copies = reader.copies || page->begins_copy;
        std::set<std::string> once;
        for (const auto& change : page->changes) {
            expect(once.insert(change.id).second, Rule::lists_only_changes);
            if (reader.copies) reader.copied.insert(change.id);
            model_.due[who].erase(change.id);
            reader.has.erase(change.id);
            if (change.value) reader.has.insert({change.id, {change.stamp, *change.value}});
        }
        reader.cursor = page->next;
        reader.may_copy = false;
        if (page->more) return;
        read_everything(who);
        const auto again = store_->changes_since(session_of(who), reader.cursor, most);
        expect(again && again->changes.empty() && !again->begins_copy && !again->more,
               Rule::lists_only_changes);
    }
    void check_cursor(std::size_t who, const part::ChangesPage<Given>& page) {
        const part::StoreCursor& before = readers_[who].cursor;
        const part::StoreCursor& next = page.next;
        if (page.begins_copy) {
            // With an earlier number, a reader would take the store for a restored one. A store may
            // count the changes of each session apart.
            for (std::size_t i = 0; i < readers; ++i) {
                const part::StoreCursor& read = readers_[i].cursor;
                if (session_of(i) != session_of(who) || read.store != next.store) continue;
                expect(next.copied_at >= std::max(read.changes, read.copied_at),
                       Rule::copies_note_where_they_begin);
            }
            return;
        }
        const bool moves =
            page.more ? before.changes < next.changes : before.changes <= next.changes;
        expect(moves && next.store == before.store && !page.other_history, Rule::cursors_move_on);
    }
    /// The reader has read the last page.
    void read_everything(std::size_t who) {
        Reader& reader = readers_[who];
        const std::string_view session = session_of(who);
        if (std::exchange(reader.copies, false)) {
            std::erase_if(reader.has,
                          [&](const auto& one) { return reader.copied.count(one.first) == 0; });
        }
        bool same = true;
        std::size_t live = 0;
        for (const auto& [name, element] : model_.elements) {
            if (name.first != session || element.state.presence != part::Presence::live) continue;
            ++live;
            const auto at = reader.has.find(name.second);
            same = same && at != reader.has.end() &&
                   at->second == std::pair{element.state.stamp, value_(element.value)};
        }
        expect(same && live == reader.has.size(), Rule::changes_lead_to_what_it_has);
        expect(model_.due[who].empty(), Rule::lists_every_write);
    }
    void foreign_cursors() {
        const part::StoreCursor own = readers_[0].cursor;
        part::StoreCursor other = own;
        other.store[3] ^= std::byte{1};
        part::StoreCursor ahead = own;
        ahead.changes += 1'000'000;
        std::vector<part::StoreCursor> cursors{other, ahead, part::StoreCursor{}};
        // A cursor of a history that a store with epochs has lost.
        if (own.epoch != 0) {
            cursors.push_back(own);
            cursors.back().epoch ^= 2;
            cursors.push_back(own);
            cursors.back().seen += 1'000'000;
        }
        for (const part::StoreCursor& cursor : cursors) {
            const auto page = store_->changes_since(sessions[0], cursor, 1);
            expect(page && page->begins_copy && page->next.store == own.store,
                   Rule::copies_for_other_cursors);
            expect(page && (own.epoch == 0 || page->other_history == (cursor.store != no_id)),
                   Rule::copies_for_other_cursors);
        }
    }

    void expire() {
        for (Reader& reader : readers_) reader.may_copy = true;
        const auto day = std::chrono::hours{24} * static_cast<std::int64_t>(bits_() % 90);
        expect(!store_->expire(WallTime{std::chrono::hours{24} * 365 * 30 + day}),
               Rule::takes_what_it_should);
        expect(store_->horizon() >= model_.horizon, Rule::horizon_never_goes_back);
        model_.horizon = store_->horizon();
        for (auto& [name, element] : model_.elements) {
            if (element.state.presence == part::Presence::live) {
                look_at(name, Rule::expire_keeps_what_is_live);
            } else if (element.state.stamp.wall >= store_->horizon()) {
                look_at(name, Rule::expire_keeps_later_tombstones);
            } else {
                // The store may have forgotten it.
                const auto found = store_->find({name.first, name.second});
                if (!found || found->presence != part::Presence::absent) continue;
                element = {};
                for (std::size_t who = 0; who < readers; ++who) {
                    if (session_of(who) == name.first) model_.due[who].erase(name.second);
                }
            }
        }
    }
    enum class BodyEnd : std::uint8_t { well, error, exception };
    struct BodyThrew {};

    void transact(BodyEnd end) {
        const Model before = model_;
        const std::uint64_t first = last_ + 1;
        int runs = 0;
        const bool keeps = end == BodyEnd::well;
        const std::error_code wanted =
            keeps ? std::error_code{} : std::make_error_code(std::errc::interrupted);
        auto body = [&]() -> std::error_code {
            ++runs;
            for (std::uint64_t i = bits_() % 5; i > 0; --i) {
                write(Rule::takes_what_it_should, false);
            }
            remember();
            if constexpr (HasNotes<Store>) set_note();
            if (bits_() % 2 == 0) expire();
#if defined(__cpp_exceptions)
            if (end == BodyEnd::exception) throw BodyThrew{};
#endif
            return wanted;
        };
#if defined(__cpp_exceptions)
        bool right = end == BodyEnd::exception;
        try {
            const std::error_code answer = store_->transaction(body);
            right = !right && answer == wanted;
        } catch (const BodyThrew&) {
        }
#else
        const bool right = store_->transaction(body) == wanted;
#endif
        expect(runs == 1, Rule::transaction_runs_once);
        expect(right, Rule::transaction_answers_its_error);
        if (keeps) return same_as_before(Rule::transaction_keeps_everything);
        model_ = before;
        for (std::uint64_t id = first; id <= last_; ++id) {
            knows(id_of(id), nullptr, Rule::transaction_undoes_everything);
        }
        same_as_before(Rule::transaction_undoes_everything);
    }

    void look_at(const Name& name, Rule rule) {
        const auto at = model_.elements.find(name);
        const Element element = at != model_.elements.end() ? at->second : Element{};
        const part::ElementKey key{name.first, name.second};
        const auto found = store_->find(key);
        const part::ElementState& state = element.state;
        expect(found && found->presence == state.presence, rule);
        if (found && state.presence != part::Presence::absent)
            expect(found->stamp == state.stamp, rule);
        const auto read = store_->read(key);
        const bool live = state.presence == part::Presence::live;
        const bool particular = rule != Rule::finds_what_was_written;
        expect(read && read->has_value() == live,
               particular ? rule : Rule::reads_only_what_is_live);
        if (live && read && *read) {
            expect(**read == value_(element.value),
                   particular ? rule : Rule::reads_what_was_written);
        }
    }
    void knows(const Id& id, const part::WriteMark* mark, Rule rule) {
        const auto answer = store_->applied(id);
        const bool is_known = answer && answer->has_value();
        expect(answer && is_known == (mark != nullptr), rule);
        if constexpr (HasReplaced<Store>) {
            const bool is_new = mark == nullptr || rule == Rule::knows_applied_operations;
            if (is_new || part::overwrites(mark->decision)) knows_replaced(id, rule);
        }
        if (mark == nullptr || !is_known) return;
        expect((*answer)->hash == mark->hash, rule);
        const bool particular = rule != Rule::knows_applied_operations;
        expect((*answer)->decision == mark->decision,
               particular ? rule : Rule::knows_their_decisions);
    }
    void knows_replaced(const Id& id, Rule rule) {
        const bool particular =
            rule != Rule::knows_applied_operations && rule != Rule::knows_no_others;
        if (!particular) rule = Rule::remembers_what_was_replaced;
        const auto version = store_->replaced(id);
        const auto at = model_.replaced.find(id);
        expect(version && version->has_value() == (at != model_.replaced.end()), rule);
        if (!version || !*version || at == model_.replaced.end()) return;
        const auto& [state, value] = at->second;
        const bool live = state.presence == part::Presence::live;
        expect((*version)->stamp == state.stamp && (*version)->value.has_value() == live, rule);
        if (live && (*version)->value) expect(*(*version)->value == value_(value), rule);
    }
    void same_as_before(Rule rule) {
        for (const std::string_view session : sessions) {
            for (const std::string_view id : elements) look_at(Name{session, id}, rule);
            if constexpr (HasForEach<Store>) visit(session, rule);
        }
        if constexpr (HasNotes<Store>) {
            has_notes(rule != Rule::finds_what_was_written ? rule : Rule::keeps_notes);
        }
        const std::size_t count = model_.known.size();
        for (std::size_t i = count > ids_ ? count - ids_ : 0; i < count; ++i) {
            const bool particular = rule != Rule::finds_what_was_written;
            knows(model_.known[i].operation, &model_.known[i],
                  particular ? rule : Rule::knows_applied_operations);
        }
        expect(store_->horizon() >= model_.horizon, Rule::horizon_never_goes_back);
    }
    void visit(std::string_view session, Rule rule) {
        std::map<std::string, Element> live;
        for (const auto& [name, element] : model_.elements) {
            if (name.first != session || element.state.presence != part::Presence::live) continue;
            live[name.second] = element;
        }
        bool same = true;
        const auto once = [&](std::string_view id, const Given& value, const Stamp& stamp) {
            const auto at = live.find(std::string{id});
            same = same && at != live.end() && stamp == at->second.state.stamp &&
                   value == value_(at->second.value);
            if (at != live.end()) live.erase(at);
        };
        const std::error_code error = visit_all(*store_, session, once);
        const bool particular = rule != Rule::finds_what_was_written;
        expect(!error && same && live.empty(), particular ? rule : Rule::visits_what_is_live);
    }

    Value& value_;
    Reopen& reopen_;
    std::size_t ids_;
    Random bits_;
    std::optional<Store> store_;
    Model model_{};
    Reader readers_[readers]{};
    std::uint64_t last_ = 0;
};

}  // namespace detail

namespace check {

/// Runs random histories of operations on a store, and returns the first fault, if any.
///
/// A history consists of writes, transactions, expiries, moves and reopenings.
///
///     const auto fault = check::store([] { return Mine{}; }, [](auto i) { return Note{i}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty store, which creates sessions as they come.
/// - `value(i)` returns the value with the number `i`: always the same value, and a different one
///   for each `i`. Values have ==.
/// - `reopen()`, for a store that outlives its object: opens the store that `make` returned last
///   again, after that object was destroyed.
///
/// - `displace(away)`, for a store in a file: with `true`, moves away the file of the store that
///   `make` returned last, which is open, or puts another file in its place. With `false`, it puts
///   that file back. This comes in a history of its own, the last one.
///
/// The same arguments give the same histories. `transaction`, `changes_since`, `for_each`,
/// `replaced` and notes are checked if the store has them. Some bodies of transactions throw, if
/// exceptions are enabled.
/// Errors:     the fault.   Throws: what the store and the other arguments throw.
/// Complexity: `histories` times `steps`, times a few elements.
template <class Make, class Value, std::invocable Reopen, std::invocable<bool> Displace>
[[nodiscard]] std::optional<StoreFault> store(Make make, Value value, Reopen reopen,
                                              Displace displace, StoreOptions options = {}) {
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::StoreChecker<Make, Value, Reopen> checker{
            make, value, reopen, options.ids_remembered, Random{Seed{history}}};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return StoreFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
        checker.read_to_the_end();
        if (checker.broken()) return StoreFault{*checker.broken(), history, options.steps};
    }
    if constexpr (!std::same_as<Displace, detail::NeverDisplacedStore>) {
        detail::StoreChecker<Make, Value, Reopen> checker{
            make, value, reopen, options.ids_remembered, Random{Seed{options.histories}}};
        checker.displace(displace);
        if (checker.broken()) return StoreFault{*checker.broken(), options.histories, 0};
    }
    return std::nullopt;
}

/// Checks a store in the same way, without moving its file.
template <class Make, class Value, std::invocable Reopen>
[[nodiscard]] std::optional<StoreFault> store(Make make, Value value, Reopen reopen,
                                              StoreOptions options = {}) {
    return store(std::move(make), std::move(value), std::move(reopen),
                 detail::NeverDisplacedStore{}, options);
}

/// Checks a store that ends with its object, in the same way.
template <class Make, class Value>
[[nodiscard]] std::optional<StoreFault> store(Make make, Value value, StoreOptions options = {}) {
    return store(std::move(make), std::move(value), detail::NeverReopenedStore{}, options);
}

}  // namespace check

}}  // namespace belay
