// SPDX-License-Identifier: MIT
/// \file tests/support/room/broken_rooms.hpp
/// MemoryRooms that outlive their object, and make one mistake.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/room/memory_rooms.hpp>
#include <belay/room/persistence_check.hpp>

#include "support/room/persistence_calls.hpp"

namespace belay_test {

enum class Mistake {
    starts_with_a_room,
    drops_completions,
    never_answers,
    rejects_long_updates,
    takes_bad_ids,
    appends_to_unknown_rooms,
    rejected_append_begins,
    forgets_positions,
    positions_stand_still,
    loses_an_update,
    cuts_an_update,
    shows_unflushed,
    forgets_the_epoch,
    reports_an_old_position,
    forgets_the_snapshot,
    covers_everything,
    saves_what_is_not_stored,
    saves_what_is_older,
    saves_unknown_rooms,
    reset_keeps,
    erase_keeps,
    lists_in_disorder,
    lists_too_many,
    replay_resurrects,
    move_loses,
    reopening_loses,
    names_another_room,
    names_another_reason,
    loses_what_it_does_not_name,
    flushes_when_displaced,
    saves_when_displaced,
    stays_displaced,
    load_overtakes_flush,
    count,
    none = count,
    answers_late,
    rejects_late
};

[[nodiscard]] inline belay::check::PersistenceRule rule_of(Mistake mistake) {
    using Rule = belay::check::PersistenceRule;
    constexpr Rule rules[] = {Rule::starts_empty,
                              Rule::answers_every_call,
                              Rule::answers_every_call,
                              Rule::takes_what_it_should,
                              Rule::rejects_bad_ids,
                              Rule::append_needs_a_history,
                              Rule::rejection_changes_nothing,
                              Rule::flush_returns_positions,
                              Rule::positions_grow,
                              Rule::load_finds_what_was_flushed,
                              Rule::load_finds_what_was_flushed,
                              Rule::load_shows_only_what_is_stored,
                              Rule::load_returns_the_epoch,
                              Rule::load_returns_the_position,
                              Rule::load_finds_the_snapshot,
                              Rule::save_keeps_later_updates,
                              Rule::save_needs_a_stored_position,
                              Rule::save_rejects_what_is_older,
                              Rule::save_needs_a_room,
                              Rule::reset_begins_anew,
                              Rule::erase_ends_the_room,
                              Rule::list_has_what_is_stored,
                              Rule::list_has_what_is_stored,
                              Rule::reopening_keeps_everything,
                              Rule::move_keeps_everything,
                              Rule::reopening_keeps_everything,
                              Rule::failed_flush_names_what_it_rejects,
                              Rule::failed_flush_names_what_it_rejects,
                              Rule::failed_flush_names_what_it_rejects,
                              Rule::confirms_nothing_when_displaced,
                              Rule::confirms_nothing_when_displaced,
                              Rule::continues_when_its_files_are_back,
                              Rule::calls_overlap};
    static_assert(std::size(rules) == static_cast<std::size_t>(Mistake::count));
    return rules[static_cast<std::size_t>(mistake)];
}

class BrokenRooms {
public:
    /// The data that outlives the object, and the completions that are not called yet.
    struct Medium {
        belay::MemoryRooms stored{};
        std::string erased{};
        std::vector<
            std::pair<belay::Completion<belay::part::FlushedRooms>, belay::part::FlushedRooms>>
            later{};
        bool away = false;      // its files have been moved away
        bool was_away = false;  // true once that has happened

        void displace(bool goes) {
            away = goes;
            was_away = true;
        }
        void answer_later() {
            for (auto& [done, answer] : std::exchange(later, {})) done(std::move(answer));
        }
    };

    BrokenRooms(Mistake mistake, Medium& medium, bool fresh) : mistake_{mistake}, medium_{&medium} {
        if (fresh) medium = Medium{};
        if (fresh && is(Mistake::starts_with_a_room)) {
            static_cast<void>(medium.stored.reset("a", {}));
            static_cast<void>(flushed(medium.stored));
        }
        if (fresh || !is(Mistake::reopening_loses)) rooms_ = medium.stored;
        if (!fresh && is(Mistake::replay_resurrects) && !medium.erased.empty()) {
            static_cast<void>(rooms_.reset(medium.erased, {}));
            static_cast<void>(flushed(rooms_));
        }
    }
    BrokenRooms(BrokenRooms&& other) : mistake_{other.mistake_}, medium_{other.medium_} {
        if (!is(Mistake::move_loses)) rooms_ = std::move(other.rooms_);
        covered_ = std::move(other.covered_);
        early_ = std::move(other.early_);
        appends_ = other.appends_;
    }
    BrokenRooms& operator=(BrokenRooms&&) = delete;

    void load(std::string_view id, belay::Completion<belay::part::LoadedRoom> done) {
        if (is(Mistake::shows_unflushed))
            for (auto& [room, position] : flush_of(rooms_).positions) early_[room] = position;
        const FlushesAfter flushes{*this};
        belay::part::LoadedRoom found = loaded(rooms_, id);
        if (found && *found) {
            if (is(Mistake::forgets_the_epoch)) (*found)->epoch[3] ^= std::byte{1};
            if (is(Mistake::reports_an_old_position)) (*found)->position = 0;
            if (is(Mistake::forgets_the_snapshot)) (*found)->snapshot.clear();
        }
        done(std::move(found));
    }
    [[nodiscard]] std::error_code append(std::string_view id, belay::BytesView update) {
        ++appends_;
        waits_for_flush_ = true;
        if (is(Mistake::rejects_long_updates) && update.size() > 1000) {
            return std::make_error_code(std::errc::message_size);
        }
        if (is(Mistake::loses_an_update) && appends_ % 7 == 0) update = {};
        if (is(Mistake::cuts_an_update) && update.size() > 1000) update = update.first(1000);
        std::error_code error = rooms_.append(id, update);
        if (is(Mistake::appends_to_unknown_rooms) && error == belay::RoomErrc::unknown_room) {
            static_cast<void>(rooms_.reset(id, {}));
            error = rooms_.append(id, update);
        }
        if (error == belay::RoomErrc::unknown_room && rejects_late()) {
            rejected_ = id;
            return {};
        }
        if (error && is(Mistake::rejected_append_begins)) {
            static_cast<void>(rooms_.reset(id, {}));
        }
        return error;
    }
    [[nodiscard]] std::error_code reset(std::string_view id, const belay::Id& epoch) {
        if (is(Mistake::takes_bad_ids) && id.empty()) return {};
        if (is(Mistake::reset_keeps)) {
            if (!rooms_.append(id, {})) return {};
        }
        return rooms_.reset(id, epoch);
    }
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (is(Mistake::erase_keeps)) return belay::MemoryRooms{rooms_}.erase(id);
        covered_.erase(std::string{id});
        if (const auto room = loaded(rooms_, id); room && *room) medium_->erased = id;
        return rooms_.erase(id);
    }
    void flush(belay::Completion<belay::part::FlushedRooms> done) {
        if (is(Mistake::drops_completions)) return;
        if (!rejected_.empty()) return done(rejection());
        if (displaced() && !is(Mistake::flushes_when_displaced)) {
            rooms_ = medium_->stored;
            return done(belay::PersistenceError{belay::QueueErrc::displaced, {}, {}});
        }
        if (is(Mistake::load_overtakes_flush) && std::exchange(waits_for_flush_, false)) {
            flushing_.emplace(std::move(done));
            return;
        }
        belay::part::FlushedRooms answer = stored();
        if (is(Mistake::never_answers) || is(Mistake::answers_late)) {
            medium_->later.emplace_back(std::move(done), std::move(answer));
            return;
        }
        done(std::move(answer));
    }
    void save(std::string_view id, std::span<const belay::Bytes> parts, std::uint64_t covers,
              belay::Completion<belay::PersistenceError> done) {
        if (displaced() && !is(Mistake::saves_when_displaced)) {
            return done({belay::QueueErrc::displaced, {}, {}});
        }
        const std::vector<belay::Bytes> snapshot{parts.begin(), parts.end()};
        const auto found = loaded(rooms_, id);
        std::uint64_t& covered = covered_[std::string{id}];
        if (is(Mistake::covers_everything) && found && *found && covers >= covered &&
            covers <= (*found)->position && (*found)->updates.size() > 1) {
            covered = covers;
            covers = (*found)->position;
        }
        belay::PersistenceError error = saving(rooms_, id, snapshot, covers);
        if (!error) static_cast<void>(saved(medium_->stored, id, snapshot, covers));
        const bool forgiven =
            (is(Mistake::saves_what_is_not_stored) &&
             error.code == belay::RoomErrc::bad_position) ||
            (is(Mistake::saves_what_is_older) && error.code == belay::RoomErrc::stale_snapshot) ||
            (is(Mistake::saves_unknown_rooms) && error.code == belay::RoomErrc::unknown_room);
        if (forgiven) error = {};
        done(std::move(error));
    }
    void list(std::string_view after, std::size_t count,
              belay::Completion<belay::part::ListedRooms> done) {
        belay::part::ListedRooms ids =
            listed(rooms_, after, is(Mistake::lists_too_many) ? 99 : count);
        if (is(Mistake::lists_in_disorder)) std::reverse(ids->begin(), ids->end());
        done(std::move(ids));
    }

private:
    [[nodiscard]] bool is(Mistake mistake) const noexcept { return mistake_ == mistake; }
    [[nodiscard]] bool displaced() const noexcept {
        return medium_->away || (is(Mistake::stays_displaced) && medium_->was_away);
    }
    /// Whether an append without a history is rejected by a later flush only.
    [[nodiscard]] bool rejects_late() const noexcept {
        return is(Mistake::rejects_late) || is(Mistake::names_another_room) ||
               is(Mistake::names_another_reason) || is(Mistake::loses_what_it_does_not_name);
    }
    /// Stores all changes.
    [[nodiscard]] belay::part::FlushedRooms stored() {
        belay::part::FlushedRooms answer = flush_of(rooms_);
        medium_->stored = rooms_;
        for (const auto& [id, position] : answer.positions) early_.erase(id);
        for (const auto& early : std::exchange(early_, {})) answer.positions.push_back(early);
        if (is(Mistake::forgets_positions) && answer.positions.size() > 1)
            answer.positions.pop_back();
        if (is(Mistake::positions_stand_still))
            for (auto& [id, position] : answer.positions) position = 1;
        return answer;
    }
    /// The flush stores the other changes, and fails for the rejected room.
    [[nodiscard]] belay::part::FlushedRooms rejection() {
        belay::MemoryRooms before = medium_->stored;
        belay::part::FlushedRooms answer = stored();
        if (is(Mistake::loses_what_it_does_not_name)) {
            rooms_ = std::move(before);
            // The positions continue after those of the lost changes.
            for (int i = 0; i < 50; ++i) static_cast<void>(rooms_.erase("nobody"));
            static_cast<void>(stored());
        }
        belay::PersistenceError& error = answer.error;
        error.code = belay::RoomErrc::unknown_room;
        std::error_code why = error.code;
        if (is(Mistake::names_another_reason)) why = belay::RoomErrc::history_reset;
        std::string id = std::exchange(rejected_, {});
        if (is(Mistake::names_another_room)) id = "another";
        error.rooms.emplace_back(std::move(id), why);
        return answer;
    }

    /// Delays a flush until the load that was called after it is done.
    struct FlushesAfter {
        explicit FlushesAfter(BrokenRooms& r) noexcept : rooms{r} {}
        FlushesAfter(const FlushesAfter&) = delete;
        FlushesAfter& operator=(const FlushesAfter&) = delete;
        ~FlushesAfter() {
            if (!rooms.flushing_) return;
            auto done = std::move(*std::exchange(rooms.flushing_, std::nullopt));
            rooms.flush(std::move(done));
        }
        BrokenRooms& rooms;
    };

    Mistake mistake_;
    Medium* medium_;
    std::optional<belay::Completion<belay::part::FlushedRooms>> flushing_{};
    bool waits_for_flush_ = false;  // an update was appended
    belay::MemoryRooms rooms_{};
    std::map<std::string, std::uint64_t> covered_{};
    std::map<std::string, std::uint64_t> early_{};  // positions of flushes inside loads
    int appends_ = 0;
    std::string rejected_{};
};

}  // namespace belay_test
