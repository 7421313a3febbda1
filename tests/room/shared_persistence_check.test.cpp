// SPDX-License-Identifier: MIT
// Goal: check::shared_persistence accepts a correct shared storage, and reports each planted
// mistake. Method: a storage in memory that several servers share, with one mistake each.
#include <belay/room/shared_persistence_check.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/room/shared_rooms.hpp"

using namespace belay;
using namespace belay_test;
using Shared = check::SharedPersistenceRule;

namespace {

enum class SharedMistake : std::uint8_t {
    none,
    drops_a_subscription,
    rejects_a_snapshot,
    begins_twice,
    loads_without_the_last,
    skips_an_entry,
    forgets_ids,
    reads_in_another_order,
    covers_unread_entries,
    accepts_old_snapshots,
    calls_an_end_a_gap,
    takes_changes_of_ended_histories,
    takes_queued_changes_into_the_loaded_history,
    hides_a_loss,
    covers_a_loss
};

/// A server of a SharedStore, with one mistake.
class MistakenRooms : public SharedRooms {
    using Mistake = SharedMistake;
    using Batch = Result<part::FanoutBatch, PersistenceError>;

public:
    MistakenRooms(SharedStore& store, int number, Mistake mistake, const bool& has_lost)
        : SharedRooms{store, number}, store_{&store}, mistake_{mistake}, has_lost_{&has_lost} {}

    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        SharedRooms::load(id, Completion<part::LoadedRoom>{
                                  [this, c = std::move(done)](auto found) mutable noexcept {
                                      if (is(Mistake::loads_without_the_last) && *found &&
                                          **found && !(***found).updates.empty())
                                          (***found).updates.pop_back();
                                      if (is(Mistake::begins_twice) && *found && **found)
                                          (***found).epoch = epoch_;
                                      c(std::move(*found));
                                  }});
    }
    std::error_code append(std::string_view id, BytesView update,
                           const part::ChangeId& change = {}) {
        part::ChangeId known = change;
        if (is(Mistake::takes_queued_changes_into_the_loaded_history)) known.epoch = no_id;
        return SharedRooms::append(id, update, known);
    }
    std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        epoch_ = epoch;
        return SharedRooms::begin(id, epoch, again);
    }
    void flush(Completion<part::FlushedRooms> done) {
        SharedRooms::flush(Completion<part::FlushedRooms>{
            [this, c = std::move(done)](auto flushed) mutable noexcept {
                if (is(Mistake::takes_changes_of_ended_histories)) flushed->error = {};
                c(std::move(*flushed));
            }});
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        if (is(Mistake::rejects_a_snapshot))
            return done(PersistenceError{RoomErrc::storage_busy, {}, {}});
        if (is(Mistake::covers_a_loss) && *has_lost_) return done(PersistenceError{});
        auto& room = store_->rooms.at(std::string{id});
        if (is(Mistake::accepts_old_snapshots) && covers < room.covers)
            return done(PersistenceError{});
        if (is(Mistake::covers_unread_entries)) covers = room.entries.back().position;
        SharedRooms::save(id, snapshot, covers, std::move(done));
    }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Batch> done) {
        if (is(Mistake::drops_a_subscription)) return;
        SharedRooms::subscribe(
            id, epoch, from,
            Completion<Batch>{[this, c = std::move(done)](auto batch) mutable noexcept {
                if (!batch) return;
                if (*batch) change(**batch);
                c(std::move(*batch));
            }});
    }

private:
    using State = part::FanoutBatch::State;

    void change(part::FanoutBatch& batch) const {
        auto& entries = batch.entries;
        if (is(Mistake::skips_an_entry) && entries.size() > 1) entries.erase(entries.begin());
        if (is(Mistake::forgets_ids) && !entries.empty()) entries.back().change = {};
        if (is(Mistake::reads_in_another_order) && entries.size() > 1)
            std::swap(entries.front(), entries.back());
        if (is(Mistake::calls_an_end_a_gap) && batch.state == State::over) batch.state = State::gap;
        if (is(Mistake::hides_a_loss) && *has_lost_ && batch.state == State::gap)
            batch.state = State::goes_on;
    }
    [[nodiscard]] bool is(Mistake mistake) const noexcept { return mistake_ == mistake; }

    SharedStore* store_;
    Mistake mistake_;
    const bool* has_lost_;
    Id epoch_{};
};

[[nodiscard]] std::optional<check::SharedPersistenceFault> fault_of(SharedMistake mistake) {
    std::map<std::uint64_t, SharedStore> stores;
    int servers = 0;
    std::map<std::uint64_t, bool> has_lost;
    const auto lose = [&](std::uint64_t history) {
        SharedStore& store = stores[history];
        if (store.rooms.at("room").entries.empty()) return false;
        store.lose_tail("room", 1);
        store.change("room");
        return has_lost[history] = true;
    };
    return check::shared_persistence(
        [&](std::uint64_t history) {
            return MistakenRooms{stores[history], ++servers, mistake, has_lost[history]};
        },
        lose, [] {}, {.histories = 30, .answer_timeout = std::chrono::milliseconds{1}});
}

}  // namespace

TEST_CASE("check::shared_persistence finds no fault in a storage in memory",
          "[room][persistence_check][unit]") {
    const auto fault = fault_of(SharedMistake::none);
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", " << fault->step);
}

TEST_CASE("check::shared_persistence reports the rule that each planted mistake breaks",
          "[room][persistence_check][unit]") {
    const std::pair<SharedMistake, Shared> rules[] = {
        {SharedMistake::drops_a_subscription, Shared::answers_every_call},
        {SharedMistake::rejects_a_snapshot, Shared::takes_what_it_should},
        {SharedMistake::begins_twice, Shared::one_history_begins},
        {SharedMistake::loads_without_the_last, Shared::load_has_all_changes},
        {SharedMistake::skips_an_entry, Shared::entries_are_complete},
        {SharedMistake::forgets_ids, Shared::entries_have_their_ids},
        {SharedMistake::reads_in_another_order, Shared::servers_read_one_order},
        {SharedMistake::covers_unread_entries, Shared::save_keeps_later_changes},
        {SharedMistake::accepts_old_snapshots, Shared::save_rejects_what_is_older},
        {SharedMistake::calls_an_end_a_gap, Shared::ended_history_is_over},
        {SharedMistake::takes_changes_of_ended_histories, Shared::ended_history_takes_no_change},
        {SharedMistake::takes_queued_changes_into_the_loaded_history,
         Shared::queued_change_meets_no_other_history},
        {SharedMistake::hides_a_loss, Shared::loss_is_a_gap},
        {SharedMistake::covers_a_loss, Shared::save_hides_no_loss}};
    for (const auto& [mistake, rule] : rules) {
        INFO("mistake " << static_cast<int>(mistake));
        const auto fault = fault_of(mistake);
        REQUIRE(fault);
        CHECK(std::string{to_string(fault->rule)} == to_string(rule));
    }
}
