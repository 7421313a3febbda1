// SPDX-License-Identifier: MIT
// Goal: check::store accepts correct stores, and detects each mistake of others. Method:
// MemoryStore, a store with transactions, and broken ones, each detected by the name of its
// fault.
#include <belay/sync/store_check.hpp>

#include <algorithm>
#include <functional>
#include <set>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

std::string numbered(std::uint64_t i) { return "value " + std::to_string(i); }

/// A correct store with maps and transactions, from which the broken ones derive.
struct PlainStore {
    using operation_type = Op;
    using Key = std::pair<std::string, std::string>;
    struct Contents {
        std::map<Key, std::pair<part::ElementState, std::string>> elements{};
        std::map<Id, part::AppliedMark> known{};
        std::map<std::string, Bytes> notes{};
        WallTime horizon = WallTime::min();
    };

    Result<part::ElementState> find(const part::ElementKey& key) {
        const auto at = in.elements.find(named(key));
        return at != in.elements.end() ? at->second.first : part::ElementState{};
    }
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        const auto at = in.elements.find(named(key));
        const bool live =
            at != in.elements.end() && at->second.first.presence == part::Presence::live;
        return live ? std::optional{at->second.second} : std::nullopt;
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        in.elements[named(key)] = {{part::Presence::live, mark.stamp}, value};
        return remember(mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        in.elements[named(key)] = {{part::Presence::removed, mark.stamp}, ""};
        return remember(mark);
    }
    std::error_code remember(const part::WriteMark& mark) {
        in.known[mark.operation] = {mark.hash, mark.decision};
        return {};
    }
    Result<std::optional<part::AppliedMark>> applied(const Id& id) {
        const auto at = in.known.find(id);
        return at != in.known.end() ? std::optional{at->second} : std::nullopt;
    }
    std::error_code expire(WallTime now) {
        const WallTime until{now.time_since_epoch() - std::chrono::hours{24 * 30}};
        if (until > in.horizon) in.horizon = until;
        std::erase_if(in.elements, [&](const auto& one) {
            const part::ElementState& state = one.second.first;
            return state.presence == part::Presence::removed && state.stamp.wall < in.horizon;
        });
        return {};
    }
    [[nodiscard]] WallTime horizon() const noexcept { return in.horizon; }
    std::error_code transaction(auto& body) {
        struct Undo {
            ~Undo() {
                if (needed) store.in = std::move(before);
            }
            PlainStore& store;
            Contents before;
            bool needed;
        } undo{*this, in, true};
        const std::error_code error = body();
        undo.needed = static_cast<bool>(error);
        return error;
    }

    static Key named(const part::ElementKey& key) {
        return {std::string{key.session}, std::string{key.id}};
    }
    Contents in{};
};

constexpr check::StoreOptions some{.histories = 40};
constexpr check::StoreOptions few{.histories = 10};

template <class Store>
std::optional<check::StoreRule> found_in() {
    const auto fault = check::store([] { return Store{}; }, numbered);
    return fault ? std::optional{fault->rule} : std::nullopt;
}

struct UpdateUpserts : PlainStore {
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return add(key, value, mark);
    }
};
struct RemoveForgets : PlainStore {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        in.elements.erase(named(key));
        return remember(mark);
    }
};
struct UpdateKeepsOldStamp : PlainStore {
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        const Stamp before = find(key)->stamp;
        const std::error_code error = PlainStore::update(key, value, mark);
        if (!error) in.elements[named(key)].first.stamp = before;
        return error;
    }
};
struct RemoveForgetsItsId : PlainStore {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        in.elements[named(key)] = {{part::Presence::removed, mark.stamp}, ""};
        return {};
    }
};
struct ForgetsConflicts : PlainStore {
    Result<std::optional<part::AppliedMark>> applied(const Id& id) {
        auto mark = PlainStore::applied(id);
        if (*mark && (*mark)->decision != part::Decision::applied) {
            (*mark)->decision = part::Decision::unknown;
        }
        return mark;
    }
};
/// A correct list of changes: each element's last change in a map by its number.
struct ListedStore : PlainStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        list(key);
        return PlainStore::add(key, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        list(key);
        return PlainStore::remove(key, mark);
    }
    // An expiry may forget a removal that some reader has not read yet.
    std::error_code expire(WallTime now) {
        forgotten = last;
        return PlainStore::expire(now);
    }
    Result<part::ChangesPage<std::string>> changes_since(std::string_view session,
                                                         const part::StoreCursor& since,
                                                         std::size_t most) {
        part::ChangesPage<std::string> page;
        page.next = since;
        page.begins_copy = begins_copy(since);
        if (page.begins_copy) page.next = {id, 0, last};
        for (const auto& [number, key] : log) {
            const bool is_old = number <= page.next.changes;
            if (key.first != session || is_old || in.elements.count(key) == 0) continue;
            if (page.changes.size() == most) {
                page.more = true;
                return page;
            }
            const auto& [state, value] = in.elements[key];
            const bool live = state.presence == part::Presence::live;
            page.changes.push_back(
                {key.second, state.stamp, live ? std::optional{value} : std::nullopt});
            page.next.changes = number;
        }
        page.next.changes = last;
        return page;
    }
    void list(const part::ElementKey& key) {
        std::erase_if(log, [&](const auto& one) { return one.second == named(key); });
        log.emplace_back(++last, named(key));
    }
    [[nodiscard]] bool begins_copy(const part::StoreCursor& since) const {
        return since.store != id || since.changes > last ||
               std::max(since.changes, since.copied_at) < forgotten;
    }

    Id id = fresh_id();
    std::uint64_t last = 0;
    std::uint64_t forgotten = 0;
    std::vector<std::pair<std::uint64_t, Key>> log{};
};
using Since = part::StoreCursor;
using Page = part::ChangesPage<std::string>;
struct ListsNoRemovals : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        std::erase_if(page->changes, [](const auto& change) { return !change.value; });
        return page;
    }
};
struct ListsEverythingAgain : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        const bool again = since.changes == last && since.store == id;
        return ListedStore::changes_since(session, again ? Since{id, 0, last} : since, most);
    }
};
struct SkipsTheRestOfAPage : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        page->next.changes = last;
        page->more = false;
        return page;
    }
};
struct ListsAllSessions : ListedStore {
    Result<Page> changes_since(std::string_view, const Since& since, std::size_t most) {
        return ListedStore::changes_since("one", since, most);
    }
};
struct TakesAnyCursor : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        Since mine = since;
        if (since.store != no_id) mine.store = id;
        return ListedStore::changes_since(session, mine, most);
    }
};
struct TakesAnyEpoch : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        page->next.seen = last;
        page->next.epoch = 5;
        page->other_history = page->begins_copy && since.store != no_id;
        return page;
    }
};
struct AlwaysCopies : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since&, std::size_t) {
        return ListedStore::changes_since(session, {}, 1'000);
    }
};
struct OldStampInChanges : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        if (!page->changes.empty()) page->changes.front().stamp.counter += 1;
        return page;
    }
};
struct RepeatedRemovalIsNoChange : ListedStore {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        const part::ElementState at{part::Presence::removed, mark.stamp};
        return *find(key) == at ? remember(mark) : ListedStore::remove(key, mark);
    }
};
struct RemovalOfNothingIsNoChange : ListedStore {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        const bool is_absent = find(key)->presence == part::Presence::absent;
        return is_absent ? PlainStore::remove(key, mark) : ListedStore::remove(key, mark);
    }
};
struct AlwaysHasMore : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        page->more = true;
        return page;
    }
};
struct CursorGoesBack : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        if (page->changes.empty() && !page->begins_copy) page->next.changes = since.changes / 2;
        return page;
    }
};
struct OtherHistoryWithoutCopy : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        page->other_history = page->next.changes != last;
        return page;
    }
};
struct CopyBeginsAtZero : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        if (page->begins_copy) page->next.copied_at = 0;
        return page;
    }
};
/// A correct store that numbers the changes of each session apart.
struct CountsEachSession : PlainStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        lists[std::string{key.session}].list(key);
        return PlainStore::add(key, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        lists[std::string{key.session}].list(key);
        return PlainStore::remove(key, mark);
    }
    std::error_code expire(WallTime now) {
        for (auto& [session, list] : lists) list.forgotten = list.last;
        return PlainStore::expire(now);
    }
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        ListedStore& list = lists[std::string{session}];
        list.id = id;
        list.in.elements = in.elements;
        return list.changes_since(session, since, most);
    }
    Id id = fresh_id();
    std::map<std::string, ListedStore> lists{};
};
// An SQL query with `LIMIT most + 1` has this form.
struct PageSizeWraps : ListedStore {
    Result<Page> changes_since(std::string_view session, const Since& since, std::size_t most) {
        auto page = ListedStore::changes_since(session, since, most);
        if (most + 1 == 0) page->changes.clear();
        return page;
    }
};
/// Stores that keep a part of a stamp, a name or an id.
template <Stamp (*kept)(Stamp)>
struct KeepsPartOfStamp : PlainStore {
    static part::WriteMark short_of(part::WriteMark mark) {
        mark.stamp = kept(mark.stamp);
        return mark;
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return PlainStore::add(key, value, short_of(mark));
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return PlainStore::update(key, value, short_of(mark));
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return PlainStore::remove(key, short_of(mark));
    }
};
Stamp in_milliseconds(Stamp stamp) {
    stamp.wall = std::chrono::floor<std::chrono::milliseconds>(stamp.wall);
    return stamp;
}
Stamp with_short_counter(Stamp stamp) {
    stamp.counter = static_cast<std::uint16_t>(stamp.counter);
    return stamp;
}
Stamp with_short_origin(Stamp stamp) {
    std::fill(stamp.origin.begin() + 8, stamp.origin.end(), std::byte{});
    return stamp;
}
template <std::string (*kept)(std::string_view)>
struct KeepsPartOfNames : PlainStore {
    struct Short {
        std::string session;
        std::string id;
        operator part::ElementKey() const { return {session, id}; }
    };
    static Short short_of(const part::ElementKey& key) { return {kept(key.session), kept(key.id)}; }
    Result<part::ElementState> find(const part::ElementKey& key) {
        return PlainStore::find(short_of(key));
    }
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        return PlainStore::read(short_of(key));
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return PlainStore::add(short_of(key), value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return PlainStore::update(short_of(key), value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return PlainStore::remove(short_of(key), mark);
    }
};
std::string until_zero(std::string_view name) {
    return std::string{name.substr(0, name.find('\0'))};
}
std::string in_lower_case(std::string_view name) {
    std::string lower{name};
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower;
}
std::string without_spaces_behind(std::string_view name) {
    return std::string{name.substr(0, name.find_last_not_of(' ') + 1)};
}
struct KeepsHalfOfIds : PlainStore {
    Result<std::optional<part::AppliedMark>> applied(Id id) {
        std::fill(id.begin() + 8, id.end(), std::byte{});
        for (const auto& [known, mark] : in.known) {
            if (std::equal(known.begin(), known.begin() + 8, id.begin()))
                return std::optional{mark};
        }
        return std::optional<part::AppliedMark>{};
    }
};
struct KeepsNoOldTombstone : PlainStore {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        const std::error_code error = PlainStore::remove(key, mark);
        if (mark.stamp.wall < in.horizon) in.elements.erase(named(key));
        return error;
    }
};
/// A correct store with `for_each`.
struct VisitedStore : PlainStore {
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) {
        for (const auto& [key, element] : in.elements) {
            const bool live = element.first.presence == part::Presence::live;
            if (key.first == session && live)
                visit(key.second, element.second, element.first.stamp);
        }
    }
};
/// A correct store whose `for_each` visits the committed elements.
struct VisitsCommitted : VisitedStore {
    std::error_code transaction(auto& body) {
        struct End {
            ~End() { store.before.reset(); }
            VisitsCommitted& store;
        } const end{*this};
        before = in;
        return PlainStore::transaction(body);
    }
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) {
        VisitedStore committed;
        committed.in = before ? *before : in;
        committed.for_each(session, visit);
    }
    std::optional<Contents> before{};
};
/// Correct stores with a `for_each` of another form, which belay does not call.
struct CountsVisits : PlainStore {
    std::size_t for_each(std::string_view, auto&&) { return 0; }
};
struct VisitsWhileTrue : PlainStore {
    void for_each(std::string_view, const std::function<bool(std::string_view)>&) {}
};
struct VisitsRemoved : VisitedStore {
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) {
        for (const auto& [key, element] : in.elements) {
            if (key.first == session) visit(key.second, element.second, element.first.stamp);
        }
    }
};
struct VisitsTheFirstOnly : VisitedStore {
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) {
        int count = 0;
        VisitedStore::for_each(
            session, [&](std::string_view id, const std::string& value, const Stamp& stamp) {
                if (++count <= 3) visit(id, value, stamp);
            });
    }
};
struct VisitsWithoutStamps : VisitedStore {
    template <class Visit>
    void for_each(std::string_view session, Visit&& visit) {
        VisitedStore::for_each(session, [&](std::string_view id, const std::string& value,
                                            const Stamp&) { visit(id, value, Stamp{}); });
    }
};
/// A correct store with `replaced`.
struct RemembersReplaced : PlainStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        note(key, mark);
        return PlainStore::add(key, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        note(key, mark);
        return PlainStore::remove(key, mark);
    }
    std::error_code transaction(auto& body) {
        auto before = was;
        const auto undo = [&] { was = std::move(before); };
        try {
            const std::error_code error = PlainStore::transaction(body);
            if (error) undo();
            return error;
        } catch (...) {
            undo();
            throw;
        }
    }
    Result<std::optional<part::ReplacedVersion<std::string>>> replaced(const Id& id) {
        const auto at = was.find(id);
        return at != was.end() ? std::optional{at->second} : std::nullopt;
    }
    void note(const part::ElementKey& key, const part::WriteMark& mark) {
        if (!part::overwrites(mark.decision)) return;
        was[mark.operation] = {find(key)->stamp, read(key).value()};
    }
    std::map<Id, part::ReplacedVersion<std::string>> was{};
};
/// A correct store for which a removal with the stamp of the present removal is no change.
struct RepeatedRemovalReplacesNothing : RemembersReplaced {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        const part::ElementState at{part::Presence::removed, mark.stamp};
        return *find(key) == at ? remember(mark) : RemembersReplaced::remove(key, mark);
    }
};
struct ForgetsWhatRemovalsReplaced : RemembersReplaced {
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return PlainStore::remove(key, mark);
    }
};
struct ReplacedWithNewStamp : RemembersReplaced {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        const std::error_code error = RemembersReplaced::add(key, value, mark);
        if (part::overwrites(mark.decision)) was[mark.operation].stamp = mark.stamp;
        return error;
    }
};
struct ReplacedWithNewValue : RemembersReplaced {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        const std::error_code error = RemembersReplaced::add(key, value, mark);
        auto& version = was[mark.operation].value;
        if (version) version = value;
        return error;
    }
};
struct ReplacedByEverything : RemembersReplaced {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        was[mark.operation] = {find(key)->stamp, read(key).value()};
        return PlainStore::add(key, value, mark);
    }
};
struct TransactionKeepsReplaced : RemembersReplaced {
    std::error_code transaction(auto& body) { return PlainStore::transaction(body); }
};
/// A correct store with notes and a list of changes.
struct NotedStore : ListedStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return ListedStore::add(key, value, mark), forget_no_id(mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return ListedStore::remove(key, mark), forget_no_id(mark);
    }
    std::error_code forget_no_id(const part::WriteMark&) {
        in.known.erase(no_id);
        return {};
    }
    Result<Bytes> note(std::string_view name) {
        const auto at = in.notes.find(std::string{name});
        return at != in.notes.end() ? at->second : Bytes{};
    }
    std::error_code set_note(std::string_view name, BytesView bytes) {
        in.notes[std::string{name}].assign(bytes.begin(), bytes.end());
        return {};
    }
};
struct RemembersUnnamedWrites : NotedStore {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return ListedStore::add(key, value, mark);
    }
};
struct OneNoteForAll : NotedStore {
    Result<Bytes> note(std::string_view) { return NotedStore::note(""); }
    std::error_code set_note(std::string_view, BytesView bytes) {
        return NotedStore::set_note("", bytes);
    }
};
struct NotesKeepTheirLength : NotedStore {
    std::error_code set_note(std::string_view name, BytesView bytes) {
        Bytes& note = in.notes[std::string{name}];
        if (note.size() < bytes.size()) note.resize(bytes.size());
        std::copy(bytes.begin(), bytes.end(), note.begin());
        return {};
    }
};
struct NotesOutsideTransactions : NotedStore {
    Result<Bytes> note(std::string_view name) {
        const auto at = apart.find(std::string{name});
        return at != apart.end() ? at->second : Bytes{};
    }
    std::error_code set_note(std::string_view name, BytesView bytes) {
        apart[std::string{name}].assign(bytes.begin(), bytes.end());
        return {};
    }
    std::map<std::string, Bytes> apart{};
};
struct NotesAreChanges : NotedStore {
    std::error_code set_note(std::string_view name, BytesView bytes) {
        return list({"one", "a"}), NotedStore::set_note(name, bytes);
    }
};
struct NotesAreElements : NotedStore {
    std::error_code set_note(std::string_view name, BytesView bytes) {
        in.elements[{"one", std::string{name}}] = {{part::Presence::removed, {}}, ""};
        return NotedStore::set_note(name, bytes);
    }
};
struct OneSessionForAll : PlainStore {
    Result<part::ElementState> find(const part::ElementKey& key) {
        return PlainStore::find({"", key.id});
    }
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        return PlainStore::read({"", key.id});
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return PlainStore::add({"", key.id}, value, mark);
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        if (find(key)->presence != part::Presence::live) return SyncErrc::store_disagrees;
        return add(key, value, mark);
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return PlainStore::remove({"", key.id}, mark);
    }
};
struct ExpiresAllTombstones : PlainStore {
    std::error_code expire(WallTime) {
        std::erase_if(in.elements, [&](const auto& one) {
            return one.second.first.presence == part::Presence::removed;
        });
        return {};
    }
};
struct ExpiresWhatIsLive : PlainStore {
    std::error_code expire(WallTime now) {
        const std::error_code error = PlainStore::expire(now);
        std::erase_if(in.elements,
                      [&](const auto& one) { return one.second.first.stamp.wall < in.horizon; });
        return error;
    }
};
struct HorizonFollowsTheClock : PlainStore {
    std::error_code expire(WallTime now) {
        const std::error_code error = PlainStore::expire(now);
        in.horizon = WallTime{now.time_since_epoch() - std::chrono::hours{24 * 30}};
        return error;
    }
};
struct RefusedUpdateIsRemembered : PlainStore {
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        static_cast<void>(remember(mark));
        return PlainStore::update(key, value, mark);
    }
};
struct TransactionKeepsIds : PlainStore {
    std::error_code transaction(auto& body) {
        const Contents before = in;
        const std::error_code error = body();
        if (error) in.elements = before.elements;
        return error;
    }
};
struct TransactionNeverUndoes : PlainStore {
    std::error_code transaction(auto& body) { return body(); }
};
struct TransactionSwallowsErrors : PlainStore {
    std::error_code transaction(auto& body) {
        static_cast<void>(PlainStore::transaction(body));
        return {};
    }
};
struct TransactionKeepsWhatThrew : PlainStore {
    std::error_code transaction(auto& body) {
        const Contents before = in;
        const std::error_code error = body();
        if (error) in = before;
        return error;
    }
};
struct TransactionSwallowsExceptions : PlainStore {
    std::error_code transaction(auto& body) {
        try {
            return PlainStore::transaction(body);
        } catch (...) {
            return SyncErrc::store_threw;
        }
    }
};
struct TransactionForgetsForGood : PlainStore {
    std::error_code transaction(auto& body) {
        WallTime reached = in.horizon;
        auto watched = [&] {
            const std::error_code error = body();
            reached = in.horizon;
            return error;
        };
        const std::error_code error = PlainStore::transaction(watched);
        std::erase_if(in.elements, [&](const auto& one) {
            const part::ElementState& state = one.second.first;
            return error && state.presence == part::Presence::removed && state.stamp.wall < reached;
        });
        return error;
    }
};
struct RefusesToBeAskedOfNoElement : PlainStore {
    Result<part::ElementState> find(const part::ElementKey& key) {
        if (key.id.empty()) return SyncErrc::bad_operation;
        return PlainStore::find(key);
    }
};
struct ReadsRemoved : PlainStore {
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        const auto at = in.elements.find(named(key));
        return at != in.elements.end() ? std::optional{at->second.second} : std::nullopt;
    }
};
struct ForgetsOldIdsTooSoon : PlainStore {
    std::error_code remember(const part::WriteMark& mark) {
        if (in.known.size() >= 10) in.known.clear();
        return PlainStore::remember(mark);
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        in.elements[named(key)] = {{part::Presence::live, mark.stamp}, value};
        return remember(mark);
    }
};

}  // namespace

TEST_CASE("check::store finds no fault in correct stores", "[sync][store_check]") {
    const auto small = [] { return Memory{MemoryStoreOptions{.ids_remembered = 50}}; };
    CHECK_FALSE(found_in<Memory>());
    CHECK_FALSE(check::store(small, numbered, some));
    CHECK_FALSE(check::store([] { return PlainStore{}; }, numbered, some));
    CHECK_FALSE(check::store([] { return ListedStore{}; }, numbered, some));
    // This store outlives its object.
    static PlainStore kept;
    struct Kept : PlainStore {
        Kept() = default;
        Kept(Kept&& from) noexcept : PlainStore{std::move(from)} { from.owns = false; }
        Kept& operator=(Kept&& from) noexcept {
            PlainStore::operator=(std::move(from));
            owns = std::exchange(from.owns, false);
            return *this;
        }
        ~Kept() {
            if (owns) kept.in = in;
        }
        bool owns = true;
    };
    const auto reopen = [] {
        Kept again;
        again.in = kept.in;
        return again;
    };
    CHECK_FALSE(check::store([] { return Kept{}; }, numbered, reopen, some));
    const auto forgets_its_horizon = [&] {
        Kept again = reopen();
        again.in.horizon = WallTime::min();
        return again;
    };
    const auto resurrects = check::store([] { return Kept{}; }, numbered, forgets_its_horizon);
    REQUIRE(resurrects);
    CHECK(resurrects->rule == check::StoreRule::horizon_never_goes_back);
    const auto forgets = [] { return Kept{}; };
    const auto fault = check::store([] { return Kept{}; }, numbered, forgets);
    REQUIRE(fault);
    CHECK(fault->rule == check::StoreRule::reopening_keeps_everything);
}

TEST_CASE("check::store reports the rule that each broken store breaks", "[sync][store_check]") {
    CHECK(found_in<UpdateUpserts>() == check::StoreRule::update_needs_a_live_element);
    CHECK(found_in<RemoveForgets>() == check::StoreRule::finds_what_was_written);
    CHECK(found_in<UpdateKeepsOldStamp>() == check::StoreRule::finds_what_was_written);
    CHECK(found_in<RemoveForgetsItsId>() == check::StoreRule::knows_applied_operations);
    CHECK(found_in<OneSessionForAll>().has_value());
    CHECK(found_in<ForgetsConflicts>() == check::StoreRule::knows_their_decisions);
    CHECK(found_in<ExpiresAllTombstones>() == check::StoreRule::expire_keeps_later_tombstones);
    CHECK(found_in<ExpiresWhatIsLive>() == check::StoreRule::expire_keeps_what_is_live);
    CHECK(found_in<HorizonFollowsTheClock>() == check::StoreRule::horizon_never_goes_back);
    CHECK(found_in<RefusedUpdateIsRemembered>() == check::StoreRule::rejection_changes_nothing);
    CHECK(found_in<TransactionKeepsIds>() == check::StoreRule::transaction_undoes_everything);
    CHECK(found_in<TransactionNeverUndoes>() == check::StoreRule::transaction_undoes_everything);
    CHECK(found_in<TransactionSwallowsErrors>() == check::StoreRule::transaction_answers_its_error);
    CHECK(found_in<TransactionKeepsWhatThrew>() == check::StoreRule::transaction_undoes_everything);
    CHECK(found_in<TransactionSwallowsExceptions>() ==
          check::StoreRule::transaction_answers_its_error);
    CHECK(found_in<TransactionForgetsForGood>() == check::StoreRule::transaction_undoes_everything);
    CHECK(found_in<RefusesToBeAskedOfNoElement>() == check::StoreRule::starts_empty);
    CHECK(found_in<ReadsRemoved>() == check::StoreRule::reads_only_what_is_live);
    CHECK(found_in<ForgetsOldIdsTooSoon>() == check::StoreRule::knows_applied_operations);
}

namespace {

/// The mistake of a store whose file was moved away.
enum class Displaced { right, confirms, stays };

/// A store in a file that may be moved away. Its contents outlive it.
template <Displaced mistake>
struct StoreInFile : PlainStore {
    struct File {
        Contents contents{};
        bool away = false;
        bool was_away = false;
    };
    explicit StoreInFile(File& opened) : file{&opened} { in = opened.contents; }

    [[nodiscard]] bool refuses() const {
        if (mistake == Displaced::confirms) return false;
        return file->away || (mistake == Displaced::stays && file->was_away);
    }
    template <class Write>
    std::error_code confirm(Write&& write) {
        if (refuses()) return std::make_error_code(std::errc::no_such_file_or_directory);
        struct Keep {
            ~Keep() { store.file->contents = store.in; }
            StoreInFile& store;
        } const keep{*this};
        return write();
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return confirm([&] { return PlainStore::add(key, value, mark); });
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return confirm([&] { return PlainStore::update(key, value, mark); });
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return confirm([&] { return PlainStore::remove(key, mark); });
    }
    std::error_code remember(const part::WriteMark& mark) {
        return confirm([&] { return PlainStore::remember(mark); });
    }
    std::error_code expire(WallTime now) {
        return confirm([&] { return PlainStore::expire(now); });
    }
    std::error_code transaction(auto& body) {
        return confirm([&] { return PlainStore::transaction(body); });
    }

    File* file;
};

template <Displaced mistake>
std::optional<check::StoreRule> found_when_displaced() {
    using Store = StoreInFile<mistake>;
    typename Store::File file;
    const auto make = [&] {
        file = {};
        return Store{file};
    };
    const auto displace = [&](bool away) {
        file.away = away;
        file.was_away = true;
    };
    const auto reopen = [&] { return Store{file}; };
    const auto fault = check::store(make, numbered, reopen, displace, {.histories = 2});
    return fault ? std::optional{fault->rule} : std::nullopt;
}

}  // namespace

TEST_CASE("check::store detects confirmations of a store whose file is elsewhere",
          "[sync][store_check]") {
    CHECK_FALSE(found_when_displaced<Displaced::right>());
    CHECK(found_when_displaced<Displaced::confirms>() ==
          check::StoreRule::confirms_nothing_when_displaced);
    CHECK(found_when_displaced<Displaced::stays>() ==
          check::StoreRule::continues_when_its_file_is_back);
}

TEST_CASE("check::store detects mistakes of changes_since", "[sync][store_check]") {
    using Rule = check::StoreRule;
    CHECK(found_in<ListsNoRemovals>() == Rule::lists_every_write);
    CHECK(found_in<SkipsTheRestOfAPage>() == Rule::changes_lead_to_what_it_has);
    CHECK(found_in<ListsAllSessions>() == Rule::changes_lead_to_what_it_has);
    CHECK(found_in<OldStampInChanges>() == Rule::changes_lead_to_what_it_has);
    CHECK(found_in<ListsEverythingAgain>() == Rule::lists_only_changes);
    CHECK(found_in<TakesAnyCursor>() == Rule::copies_for_other_cursors);
    CHECK(found_in<TakesAnyEpoch>() == Rule::copies_for_other_cursors);
    CHECK(found_in<AlwaysCopies>().has_value());
    CHECK(found_in<RepeatedRemovalIsNoChange>() == Rule::lists_every_write);
    CHECK(found_in<RemovalOfNothingIsNoChange>() == Rule::lists_every_write);
    CHECK(found_in<AlwaysHasMore>() == Rule::cursors_move_on);
    CHECK(found_in<CursorGoesBack>() == Rule::cursors_move_on);
    CHECK(found_in<OtherHistoryWithoutCopy>() == Rule::cursors_move_on);
    CHECK_FALSE(check::store([] { return CountsEachSession{}; }, numbered, few));
    CHECK(found_in<CopyBeginsAtZero>() == Rule::copies_note_where_they_begin);
    CHECK(found_in<PageSizeWraps>() == Rule::changes_lead_to_what_it_has);
}

TEST_CASE("check::store detects stores that keep a part of a stamp, name or id",
          "[sync][store_check]") {
    using Rule = check::StoreRule;
    CHECK(found_in<KeepsPartOfStamp<in_milliseconds>>() == Rule::finds_what_was_written);
    CHECK(found_in<KeepsPartOfStamp<with_short_counter>>() == Rule::finds_what_was_written);
    CHECK(found_in<KeepsPartOfStamp<with_short_origin>>() == Rule::finds_what_was_written);
    CHECK(found_in<KeepsPartOfNames<until_zero>>().has_value());
    CHECK(found_in<KeepsPartOfNames<in_lower_case>>().has_value());
    CHECK(found_in<KeepsPartOfNames<without_spaces_behind>>().has_value());
    CHECK(found_in<KeepsHalfOfIds>() == Rule::knows_no_others);
    CHECK(found_in<KeepsNoOldTombstone>() == Rule::finds_what_was_written);
}

TEST_CASE("check::store detects mistakes of for_each", "[sync][store_check]") {
    using Rule = check::StoreRule;
    CHECK_FALSE(check::store([] { return VisitedStore{}; }, numbered, few));
    CHECK_FALSE(check::store([] { return VisitsCommitted{}; }, numbered, few));
    CHECK_FALSE(check::store([] { return CountsVisits{}; }, numbered, {.histories = 1}));
    CHECK_FALSE(check::store([] { return VisitsWhileTrue{}; }, numbered, {.histories = 1}));
    CHECK(found_in<VisitsRemoved>() == Rule::visits_what_is_live);
    CHECK(found_in<VisitsTheFirstOnly>() == Rule::visits_what_is_live);
    CHECK(found_in<VisitsWithoutStamps>() == Rule::visits_what_is_live);
}

TEST_CASE("check::store detects mistakes of replaced", "[sync][store_check]") {
    using Rule = check::StoreRule;
    CHECK_FALSE(check::store([] { return RemembersReplaced{}; }, numbered, few));
    CHECK_FALSE(check::store([] { return RepeatedRemovalReplacesNothing{}; }, numbered, few));
    CHECK(found_in<ForgetsWhatRemovalsReplaced>() == Rule::remembers_what_was_replaced);
    CHECK(found_in<ReplacedWithNewStamp>() == Rule::remembers_what_was_replaced);
    CHECK(found_in<ReplacedWithNewValue>() == Rule::remembers_what_was_replaced);
    CHECK(found_in<ReplacedByEverything>() == Rule::remembers_what_was_replaced);
    CHECK(found_in<TransactionKeepsReplaced>() == Rule::transaction_undoes_everything);
}

TEST_CASE("check::store detects mistakes of notes", "[sync][store_check]") {
    using Rule = check::StoreRule;
    CHECK_FALSE(check::store([] { return NotedStore{}; }, numbered, some));
    CHECK(found_in<RemembersUnnamedWrites>() == Rule::remembers_no_unnamed_write);
    CHECK(found_in<OneNoteForAll>() == Rule::keeps_notes);
    CHECK(found_in<NotesKeepTheirLength>() == Rule::keeps_notes);
    CHECK(found_in<NotesOutsideTransactions>() == Rule::transaction_undoes_everything);
    CHECK(found_in<NotesAreChanges>() == Rule::notes_are_no_changes);
    CHECK(found_in<NotesAreElements>() == Rule::notes_are_no_changes);
}

TEST_CASE("every check::StoreRule has its own sentence", "[sync][store_check]") {
    std::set<std::string> sentences;
    for (int i = 0; i <= static_cast<int>(check::StoreRule::notes_are_no_changes); ++i) {
        CHECK(sentences.insert(to_string(static_cast<check::StoreRule>(i))).second);
    }
    CHECK(std::string{to_string(static_cast<check::StoreRule>(99))} == "unknown");
}
