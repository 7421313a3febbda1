// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_check.hpp
/// check::persistence: tests whether a persistence of rooms is correct; room.hpp does not include
/// it.
#pragma once

#include <algorithm>    // std::find, std::find_if, std::max, std::sort
#include <atomic>       // std::atomic
#include <concepts>     // std::invocable, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <memory>       // std::shared_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <thread>       // std::this_thread::yield
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/clocks.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/core/random.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a persistence that the compiler cannot check.
///
/// PersistenceLike explains them.
enum class PersistenceRule : std::uint8_t {
    starts_empty,
    answers_every_call,
    takes_what_it_should,
    rejects_bad_ids,
    append_needs_a_history,
    rejection_changes_nothing,
    flush_returns_positions,
    positions_grow,
    load_finds_what_was_flushed,
    load_shows_only_what_is_stored,
    load_returns_the_epoch,
    load_returns_the_position,
    load_finds_the_snapshot,
    save_keeps_later_updates,
    save_needs_a_stored_position,
    save_rejects_what_is_older,
    save_needs_a_room,
    reset_begins_anew,
    erase_ends_the_room,
    list_has_what_is_stored,
    move_keeps_everything,
    reopening_keeps_everything,
    failed_flush_names_what_it_rejects,
    confirms_nothing_when_displaced,
    continues_when_its_files_are_back,
    calls_overlap
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(PersistenceRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new persistence has no room",
        "the persistence answers every call, and drops no Completion",
        "reset, append, erase, flush and save accept valid arguments",
        "the persistence rejects ids of no byte or of more than 100 bytes with bad_room_id",
        "append to a room without a history fails with unknown_room, at once or at the next flush",
        "a rejected call changes nothing",
        "a flush returns the position of each room that has a history and stored changes",
        "the positions of a room grow, also across its histories",
        "load returns every flushed update, complete and in order",
        "load returns nothing that reopening can lose, and nothing that was not appended",
        "load returns the epoch that was passed to reset",
        "load returns the position of the last change, or a later one",
        "load returns the parts of the last saved snapshot",
        "save keeps every update after the position that it covers",
        "save rejects a snapshot whose position is not stored, with bad_position",
        "save rejects a snapshot that is older than the stored one or than the history, with "
        "stale_snapshot",
        "save rejects an unknown room, with unknown_room",
        "reset removes everything of the previous history",
        "erase removes everything of the room",
        "list returns at most `count` stored ids after `after`, in the order of their bytes",
        "a moved persistence keeps everything",
        "a persistence that is closed and opened again has everything that was flushed",
        "a flush that fails for some rooms names them, and has stored the changes of all other "
        "rooms",
        "a persistence whose paths lead to other files, or to none, confirms nothing",
        "a persistence whose files are at their paths again continues, with everything it had",
        "calls may be made before earlier ones are answered, and a load has what an earlier flush "
        "stores"};
    return detail::sentence_of(rule, sentences);
}

/// A fault that check::persistence found in a persistence.
struct PersistenceFault {
    /// The rule that is broken.
    PersistenceRule rule{};
    /// The number of the history that broke it. The same persistence breaks it in the same history
    /// again.
    std::uint64_t history = 0;
    /// The number of steps before the fault.
    std::uint64_t step = 0;
};

/// The extent of the tests of check::persistence, and how long it waits for answers.
struct PersistenceOptions {
    /// The number of histories.
    std::uint64_t histories = 100;
    /// The number of steps in a history: changes, flushes, saves, loads, reopenings and so on.
    std::uint64_t steps = 200;
    /// The maximum number of bytes of an update.
    std::size_t update_bytes_max = 2000;
    /// An answer that takes longer counts as none.
    Duration answer_timeout = std::chrono::seconds{10};
};

}  // namespace check

namespace detail {

/// A room after some change. Positions are 0 where they are not known.
struct ModelState {
    struct Update {
        Bytes bytes{};
        std::uint64_t position = 0;
    };

    bool exists = false;
    bool erased = false;
    Id epoch{};
    std::vector<Id> epochs_before{};
    std::vector<Update> history{};  // all since it began
    std::size_t covered = 0;        // so many of them are in the snapshot
    std::vector<Bytes> snapshot{};
    std::uint64_t began = 0;
    std::uint64_t covers = 0;
    std::uint64_t last = 0;

    /// The extent of a snapshot: a position, and so many updates.
    struct Cover {
        std::uint64_t position;
        std::size_t count;
    };
    void save(const std::vector<Bytes>& parts, const Cover& cover) {
        snapshot = parts;
        covers = cover.position;
        covered = cover.count;
    }
    void forget_positions() noexcept {
        for (Update& update : history) update.position = 0;
        began = covers = last = 0;
    }

    /// Which rule a load breaks that answers this; nothing if it is right.
    [[nodiscard]] std::optional<check::PersistenceRule> broken_by(
        const std::optional<StoredRoom>& found) const {
        using Rule = check::PersistenceRule;
        if (!exists && !found) return std::nullopt;
        if (!exists) {
            return erased ? Rule::erase_ends_the_room : Rule::load_shows_only_what_is_stored;
        }
        if (!found) return Rule::load_finds_what_was_flushed;
        if (found->epoch != epoch) {
            const bool old = std::find(epochs_before.begin(), epochs_before.end(), found->epoch) !=
                             epochs_before.end();
            return old ? Rule::reset_begins_anew : Rule::load_returns_the_epoch;
        }
        if (found->snapshot != snapshot) return Rule::load_finds_the_snapshot;
        const std::size_t count = found->updates.size();
        if (count > history.size()) return Rule::load_shows_only_what_is_stored;
        const std::size_t skipped = history.size() - count;
        if (skipped > covered) {
            return covers != 0 ? Rule::save_keeps_later_updates : Rule::load_finds_what_was_flushed;
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (found->updates[i] != history[skipped + i].bytes) {
                return Rule::load_finds_what_was_flushed;
            }
        }
        return std::nullopt;
    }
};

/// A room as it was flushed, and after each change since.
struct ModelRoom {
    std::string id{};
    std::vector<ModelState> states = std::vector<ModelState>(1);
    std::size_t shown = 0;           // the last of them that a load has answered
    std::uint64_t given = 0;         // the last position
    std::uint64_t old_position = 0;  // of the history before
    bool turns = false;              // one of the changes begins or ends a history

    /// All before and after this state is over.
    void settle(std::size_t state) {
        ModelState kept = std::move(states[state]);
        states.clear();
        states.push_back(std::move(kept));
        shown = 0;
        turns = false;
    }
    /// Which of the states a load answers, of equal ones a later one than was shown before.
    [[nodiscard]] std::optional<std::size_t> which(const std::optional<StoredRoom>& found) const {
        for (std::size_t i = shown; i < states.size(); ++i) {
            if (!states[i].broken_by(found)) return i;
        }
        for (std::size_t i = 0; i < shown; ++i) {
            if (!states[i].broken_by(found)) return i;
        }
        return std::nullopt;
    }
    /// Returns the rule that an answer breaks if it is none of them.
    [[nodiscard]] check::PersistenceRule blame(const std::optional<StoredRoom>& found) const {
        const ModelState& stored = states[shown];
        return stored.broken_by(found).value_or(
            check::PersistenceRule::load_finds_what_was_flushed);
    }
};

[[nodiscard]] inline std::vector<ModelRoom> model_rooms() {
    std::vector<ModelRoom> rooms;
    for (const std::string& id :
         {std::string{"a"}, std::string{"A"}, std::string{"a\0b", 3}, std::string{"../\xff%' "},
          std::string(part::room_id_bytes_max, 'x')}) {
        rooms.emplace_back().id = id;
    }
    return rooms;
}

struct NeverReopenedRooms {
    void operator()() const noexcept {}
};
struct NeverDisplacedRooms {
    void operator()(bool /*away*/) const noexcept {}
};

/// Waits for answers.
template <class Pump>
struct AnswerWait {
    Pump& pump;
    Duration timeout;

    template <class V>
    struct Slot {
        std::optional<V> value{};
        std::atomic<bool> done{false};
    };

    /// Calls `ask(Completion<V>)`, without waiting for its answer.
    template <class V, class Ask>
    [[nodiscard]] static std::shared_ptr<Slot<V>> begin(Ask&& ask) {
        // An answer that comes too late finds it all the same.
        auto slot = std::make_shared<Slot<V>>();
        ask(Completion<V>{[slot](std::optional<V> value) noexcept {
            slot->value = std::move(value);
            slot->done.store(true, std::memory_order_release);
        }});
        return slot;
    }
    /// Returns the answer; nothing if it is dropped, or too late.
    template <class V>
    [[nodiscard]] std::optional<V> end(const std::shared_ptr<Slot<V>>& slot) {
        const Instant until = after(SteadyClock{}.now(), timeout);
        while (!slot->done.load(std::memory_order_acquire)) {
            if (SteadyClock{}.now() > until) return std::nullopt;
            pump();
        }
        return std::move(slot->value);
    }
    /// Returns the answer to `ask(Completion<V>)`; nothing if it is dropped, or too late.
    template <class V, class Ask>
    [[nodiscard]] std::optional<V> operator()(Ask&& ask) {
        return end<V>(begin<V>(std::forward<Ask>(ask)));
    }
};

/// Which history is played.
struct PersistencePlay {
    std::uint64_t history;
    std::size_t update_bytes_max;
};

template <class Make, class Reopen, class Pump>
class PersistenceChecker : public RuleCheck<check::PersistenceRule> {
    using P = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    static_assert(explain::persistence_like<P>());

public:
    PersistenceChecker(Make& make, Reopen& reopen, AnswerWait<Pump> wait, PersistencePlay play)
        : reopen_{reopen}, wait_{wait}, play_{play}, bits_{Seed{play.history}}, rooms_{make()} {
        for (ModelRoom& room : model_) look_at(room, Rule::starts_empty);
        lists(Rule::starts_empty);
    }

    void step() {
        ModelRoom& room = model_[bits_() % model_.size()];
        const std::uint64_t what = bits_() % 100;
        if (what < 45) return append(room);
        if (what < 50) return reset(room);
        if (what < 54) return erase(room);
        if (what < 68) return flush();
        if (what < 74) return look_at(room);
        if (what < 86) return save(room);
        if (what < 92) return rejected_save(room);
        if (what < 94) return rejected_append(room);
        if (what < 95) return rejected_ids();
        if (what < 97) {
            P moved{std::move(*rooms_)};
            rooms_.reset();
            rooms_.emplace(std::move(moved));
            for (ModelRoom& each : model_) look_at(each, Rule::move_keeps_everything);
            return;
        }
        reopen();
    }
    /// Moves the persistence's files away and back. Nothing is confirmed meanwhile.
    template <class Displace>
    void displace(Displace& displace) {
        const Rule confirms = Rule::confirms_nothing_when_displaced;
        const Rule continues = Rule::continues_when_its_files_are_back;
        ModelRoom& kept = model_[0];
        ModelRoom& changed = model_[1];
        for (ModelRoom* const room : {&kept, &changed}) {
            reset(*room);
            for (int i = 0; i < 3; ++i) append(*room);
        }
        flush();
        const std::uint64_t last = kept.states.front().last;
        displace(true);
        const bool rejected = static_cast<bool>(rooms_->append(changed.id, Bytes(3)));
        expect(rejected || static_cast<bool>(flushed().error), confirms);
        expect(static_cast<bool>(saved(kept.id, {Bytes(5)}, last)), confirms);
        displace(false);
        look_at(kept, continues);
        // It is unknown whether this change is stored, now or later.
        erase(changed);
        append(kept);
        const part::FlushedRooms answer = flushed();
        expect(!answer.error, continues);
        for (ModelRoom& room : model_) settle(room, answer);
        for (ModelRoom& room : model_) look_at(room, continues);
        reopen();
        look_at(kept, continues);
    }

private:
    // ---- changes --------------------------------------------------------------------------------

    void append(ModelRoom& room) {
        if (!room.states.back().exists) return reset(room);
        const std::size_t most = bits_() % 8 == 0 ? play_.update_bytes_max : 40;
        Bytes update(static_cast<std::size_t>(bits_() % (most + 1)));
        for (std::byte& b : update) b = static_cast<std::byte>(bits_());
        const bool took = !rooms_->append(room.id, update);
        expect(took, Rule::takes_what_it_should);
        if (!took) return;
        ModelState next = room.states.back();
        next.history.push_back({std::move(update), 0});
        room.states.push_back(std::move(next));
    }
    void reset(ModelRoom& room) {
        const Id epoch = make_id(bits_);
        const bool took = !rooms_->reset(room.id, epoch);
        expect(took, Rule::takes_what_it_should);
        if (!took) return;
        const ModelState& before = room.states.back();
        room.old_position = before.exists ? before.last : 0;
        ModelState next;
        next.exists = true;
        next.epoch = epoch;
        next.epochs_before = before.epochs_before;
        if (before.exists) next.epochs_before.push_back(before.epoch);
        room.states.push_back(std::move(next));
        room.turns = true;
    }
    void erase(ModelRoom& room) {
        expect(!rooms_->erase(room.id), Rule::takes_what_it_should);
        ModelState next;
        next.erased = room.states.back().exists || room.states.back().erased;
        next.epochs_before = room.states.back().epochs_before;
        if (room.states.back().exists) next.epochs_before.push_back(room.states.back().epoch);
        room.states.push_back(std::move(next));
        room.turns = true;
    }
    /// The answer of a flush.
    [[nodiscard]] part::FlushedRooms flushed() {
        auto answer = wait_.template operator()<part::FlushedRooms>(
            [&](auto done) { rooms_->flush(std::move(done)); });
        expect(answer.has_value(), Rule::answers_every_call);
        return std::move(answer).value_or(part::FlushedRooms{});
    }
    /// All changes of a room are stored.
    void settle(ModelRoom& room, const part::FlushedRooms& answer) {
        const bool changed = room.states.size() != 1;
        // A load may have shown them before, with their position.
        const std::uint64_t before = room.shown == 0 ? room.given : room.given - 1;
        room.settle(room.states.size() - 1);
        ModelState& state = room.states.front();
        if (!changed || !state.exists) return;
        const auto found = std::find_if(answer.positions.begin(), answer.positions.end(),
                                        [&](const auto& one) { return one.first == room.id; });
        if (found == answer.positions.end()) return expect(false, Rule::flush_returns_positions);
        expect(found->second > before, Rule::positions_grow);
        room.given = state.last = found->second;
        (state.history.empty() ? state.began : state.history.back().position) = state.last;
    }
    void flush() {
        // A server makes other calls before a flush is answered, and loads a room again.
        using Loading = std::shared_ptr<typename AnswerWait<Pump>::template Slot<part::LoadedRoom>>;
        const auto flushing = wait_.template begin<part::FlushedRooms>(
            [&](auto done) { rooms_->flush(std::move(done)); });
        std::vector<std::pair<ModelRoom*, Loading>> loads;
        for (ModelRoom* const room : {&model_[0], &model_[0], &model_[1]})
            loads.emplace_back(room, begin_load(room->id));
        const std::optional<part::FlushedRooms> answer = wait_.end(flushing);
        expect(answer.has_value(), Rule::answers_every_call);
        expect(!answer || !answer->error, Rule::takes_what_it_should);
        for (ModelRoom& room : model_) settle(room, answer.value_or(part::FlushedRooms{}));
        // First without other calls, which shows what is wrong.
        for (ModelRoom& room : model_) look_at(room);
        for (const auto& [room, loading] : loads) {
            const std::optional<part::LoadedRoom> found = wait_.end(loading);
            expect(found.has_value(), Rule::answers_every_call);
            if (found) check_load(*room, *found, Rule::calls_overlap);
        }
        lists(Rule::list_has_what_is_stored);
    }

    // ---- saves ----------------------------------------------------------------------------------

    [[nodiscard]] std::error_code saved(std::string_view id, const std::vector<Bytes>& snapshot,
                                        std::uint64_t covers) {
        const auto error = wait_.template operator()<PersistenceError>(
            [&](auto done) { rooms_->save(id, snapshot, covers, std::move(done)); });
        expect(error.has_value(), Rule::answers_every_call);
        return error ? error->code : std::error_code{};
    }
    void save(ModelRoom& room) {
        const ModelState& stored = room.states.front();
        if (!stored.exists || room.turns) return;
        std::uint64_t covers = stored.last;
        std::size_t count = stored.history.size();
        const std::size_t some = stored.history.empty() ? 0 : bits_() % stored.history.size();
        if (some >= stored.covered && some < count && stored.history[some].position != 0) {
            covers = stored.history[some].position;
            count = some + 1;
        }
        if (covers == 0) return;
        std::vector<Bytes> snapshot;
        for (std::uint64_t parts = bits_() % 4; parts != 0; --parts) {
            snapshot.emplace_back(bits_() % 50, static_cast<std::byte>(bits_()));
        }
        const bool good = !saved(room.id, snapshot, covers);
        expect(good, Rule::takes_what_it_should);
        for (ModelState& state : room.states) state.save(snapshot, {covers, count});
        look_at(room);
    }
    void rejected_save(ModelRoom& room) {
        const ModelState& stored = room.states.front();
        if (room.turns) return;
        if (!stored.exists) {
            expect(saved(room.id, {}, 1) == RoomErrc::unknown_room, Rule::save_needs_a_room);
        } else if (bits_() % 2 == 0) {
            const std::uint64_t beyond = room.given + 1'000'000;
            expect(saved(room.id, {Bytes(1)}, beyond) == RoomErrc::bad_position,
                   Rule::save_needs_a_stored_position);
        } else {
            std::uint64_t older = room.old_position;
            if (stored.began != 0 && stored.covers > stored.began) older = stored.began;
            if (older == 0) return;
            expect(saved(room.id, {Bytes(1)}, older) == RoomErrc::stale_snapshot,
                   Rule::save_rejects_what_is_older);
        }
        look_at(room, Rule::rejection_changes_nothing);
    }

    // ---- what must be rejected -----------------------------------------------------------------

    void rejected_append(ModelRoom& room) {
        if (room.states.back().exists) return;
        flush();
        // If a flush names the rooms that it rejects, the next one stores the others' changes.
        if (rejects(room, false)) static_cast<void>(rejects(room, true));
    }
    /// An append to a room without a history.   Returns: whether a flush has named it.
    [[nodiscard]] bool rejects(ModelRoom& room, bool beside) {
        if (beside) change_others(room);
        const std::error_code rejected = rooms_->append(room.id, Bytes(3));
        if (beside) change_others(room);
        part::FlushedRooms answer = rejected ? part::FlushedRooms{{rejected, {}, {}}} : flushed();
        const bool by_flush = !rejected;
        const bool named = by_flush && !answer.error.rooms.empty();
        expect(answer.error.code == RoomErrc::unknown_room, Rule::append_needs_a_history);
        if (by_flush) judge(room, answer);
        answer = flushed();
        expect(!answer.error, Rule::append_needs_a_history);
        for (ModelRoom& other : model_) {
            settle(other, answer);
            look_at(other, Rule::rejection_changes_nothing);
        }
        return named;
    }
    void change_others(const ModelRoom& room) {
        for (ModelRoom& other : model_) {
            if (&other != &room && bits_() % 2 == 0) append(other);
        }
    }
    /// Checks the error of a flush that rejected a change of `room`, and had no reason for another.
    void judge(const ModelRoom& room, const part::FlushedRooms& answer) {
        const PersistenceError& error = answer.error;
        const auto named = [&](const ModelRoom& one) {
            return std::find_if(error.rooms.begin(), error.rooms.end(),
                                [&](const auto& pair) { return pair.first == one.id; });
        };
        if (!error.rooms.empty()) {
            const auto why = named(room);
            expect(why != error.rooms.end() && why->second == RoomErrc::unknown_room,
                   Rule::failed_flush_names_what_it_rejects);
        }
        for (ModelRoom& other : model_) {
            if (other.states.size() == 1) continue;
            if (!error.rooms.empty() && named(other) == error.rooms.end()) {
                settle(other, answer);
                look_at(other, Rule::failed_flush_names_what_it_rejects);
            } else {
                // It is unknown what is stored of it, now or later.
                erase(other);
            }
        }
    }
    void rejected_ids() {
        for (const std::string& id :
             {std::string{}, std::string(part::room_id_bytes_max + 1, 'x')}) {
            const std::error_code bad = RoomErrc::bad_room_id;
            bool rejected = rooms_->reset(id, Id{}) == bad;
            rejected = rooms_->append(id, Bytes(3)) == bad && rejected;
            rejected = rooms_->erase(id) == bad && rejected;
            rejected = saved(id, {}, 0) == bad && rejected;
            const auto found = load(id);
            rejected = found && found->error().code == bad && rejected;
            expect(rejected, Rule::rejects_bad_ids);
        }
    }

    // ---- what is there --------------------------------------------------------------------------

    [[nodiscard]] auto begin_load(std::string_view id) {
        return wait_.template begin<part::LoadedRoom>(
            [&](auto done) { rooms_->load(id, std::move(done)); });
    }
    [[nodiscard]] std::optional<part::LoadedRoom> load(std::string_view id) {
        auto found = wait_.template end<part::LoadedRoom>(begin_load(id));
        expect(found.has_value(), Rule::answers_every_call);
        return found;
    }
    /// Loads a room, which must be as it is stored, or as a change made it since: as it was shown
    /// before, or later. Otherwise `rule` is broken, if it is a particular one.
    void look_at(ModelRoom& room, Rule rule = Rule::load_finds_what_was_flushed) {
        if (const std::optional<part::LoadedRoom> found = load(room.id))
            check_load(room, *found, rule);
    }
    void check_load(ModelRoom& room, const part::LoadedRoom& found, Rule rule) {
        if (!found) return expect(false, rule);
        const auto which = room.which(*found);
        if (!which) {
            const bool particular = rule != Rule::load_finds_what_was_flushed;
            return expect(false, particular ? rule : room.blame(*found));
        }
        expect(*which >= room.shown, Rule::load_shows_only_what_is_stored);
        room.shown = *which;
        if (!*found) return;
        const std::uint64_t position = (*found)->position;
        ModelState& state = room.states[*which];
        expect(position >= state.last, Rule::load_returns_the_position);
        if (state.last == 0) state.last = position;
        room.given = std::max(room.given, position);
    }
    void lists(Rule rule) {
        std::vector<std::string> ids;
        for (const ModelRoom& room : model_) {
            if (room.states.front().exists) ids.push_back(room.id);
        }
        std::sort(ids.begin(), ids.end());
        std::string after;
        // The largest one means all of them.
        const std::size_t few = static_cast<std::size_t>(bits_() % 4);
        const std::size_t count = few == 0 ? ~std::size_t{0} : few;
        std::vector<std::string> listed;
        for (std::size_t calls = 0; calls <= model_.size(); ++calls) {
            auto some = wait_.template operator()<part::ListedRooms>(
                [&](auto done) { rooms_->list(after, count, std::move(done)); });
            expect(some.has_value(), Rule::answers_every_call);
            if (!some) return;
            if (!*some || (*some)->size() > count) return expect(false, rule);
            if ((*some)->empty()) break;
            listed.insert(listed.end(), (*some)->begin(), (*some)->end());
            after = listed.back();
        }
        expect(listed == ids, rule);
    }
    void reopen() {
        if constexpr (!std::same_as<Reopen, NeverReopenedRooms>) {
            rooms_.reset();
            rooms_.emplace(reopen_());
            for (ModelRoom& room : model_) {
                // Its numbers may begin anew.
                for (ModelState& state : room.states) state.forget_positions();
                room.given = room.old_position = 0;
                const std::size_t before = room.shown;
                room.shown = 0;
                look_at(room, Rule::reopening_keeps_everything);
                expect(room.shown >= before, Rule::load_shows_only_what_is_stored);
                room.settle(room.shown);
            }
        }
    }

    Reopen& reopen_;
    AnswerWait<Pump> wait_;
    PersistencePlay play_;
    Random bits_;
    std::optional<P> rooms_;
    std::vector<ModelRoom> model_ = model_rooms();
};

}  // namespace detail

namespace check {

/// Runs random histories of some rooms on a persistence, and returns the first fault.
///
/// Returns nothing if there is no fault.
///
///     const auto fault = check::persistence([] { return MemoryRooms{}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty persistence.
/// - `reopen()` is for a persistence that outlives its object. It opens the persistence that `make`
///   returned last again, after its object was destroyed. The persistence may lose what was not
///   flushed, so you may simulate a crash.
/// - `pump()` is called again and again while an answer is awaited. It runs the loop that brings
///   the answer.
///
/// - `displace(away)` is for a persistence in files. With `true`, it moves away the files of the
///   persistence that `make` returned last, which are open, or puts others in their place. With
///   `false`, it puts those files back. This comes in a history of its own, the last one.
///
/// The same arguments give the same histories.
/// Errors:     the fault.   Throws: what the persistence and the other arguments throw.
/// Complexity: `histories` times `steps`, times a few rooms.
template <class Make, std::invocable Reopen, std::invocable Pump, std::invocable<bool> Displace>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen, Pump pump,
                                                          Displace displace,
                                                          const PersistenceOptions& options = {}) {
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::PersistenceChecker<Make, Reopen, Pump> checker{
            make, reopen, {pump, options.answer_timeout}, {history, options.update_bytes_max}};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return PersistenceFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    if constexpr (!std::same_as<Displace, detail::NeverDisplacedRooms>) {
        const std::uint64_t history = options.histories;
        detail::PersistenceChecker<Make, Reopen, Pump> checker{
            make, reopen, {pump, options.answer_timeout}, {history, options.update_bytes_max}};
        checker.displace(displace);
        if (checker.broken()) return PersistenceFault{*checker.broken(), history, 0};
    }
    return std::nullopt;
}

/// Tests a persistence without moving its files.
template <class Make, std::invocable Reopen, std::invocable Pump>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen, Pump pump,
                                                          const PersistenceOptions& options = {}) {
    return persistence(std::move(make), std::move(reopen), std::move(pump),
                       detail::NeverDisplacedRooms{}, options);
}

/// Tests a persistence that answers inside its calls, or from a thread of its own.
template <class Make, std::invocable Reopen>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make, Reopen reopen,
                                                          const PersistenceOptions& options = {}) {
    return persistence(
        std::move(make), std::move(reopen), [] { std::this_thread::yield(); }, options);
}

/// Tests a persistence that ends with its object.
template <class Make>
[[nodiscard]] std::optional<PersistenceFault> persistence(Make make,
                                                          const PersistenceOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return persistence(std::move(make), detail::NeverReopenedRooms{}, options);
    } else {
        static_assert(!sizeof(Make),
                      "check::persistence: make must be callable and return a new persistence: [] "
                      "{ return Mine{}; }");
        return std::nullopt;
    }
}

}  // namespace check

}}  // namespace belay
