// SPDX-License-Identifier: MIT
/// \file tests/support/room/table_rooms.hpp
/// TableRooms: a blocking storage in memory that several servers share, for OnThread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay_test {

using namespace belay;

/// The data that the servers share, as in a database.
struct RoomTable {
    struct Room {
        Id epoch{};
        std::uint64_t covers = 0;  // of the snapshot; without one, where the history began
        std::vector<Bytes> snapshot{};
        std::vector<part::FanoutBatch::Entry> entries{};
        std::uint64_t position = 0;
    };
    std::mutex mutex{};
    std::condition_variable changed{};
    std::map<std::string, Room, std::less<>> rooms{};
    std::set<Id> ended{};
    std::uint64_t last = 0;
    std::vector<part::PublishedMessage> messages{};
};

/// The connection of a server that waits.
class TableSubscription {
public:
    explicit TableSubscription(RoomTable& table) : table_{table}, read_{table.messages.size()} {}
    part::ReadRooms wait(const part::RoomReaders& readers, const std::set<std::string>&,
                         Duration limit) {
        std::unique_lock lock{table_.mutex};
        std::map<std::string, part::FanoutBatch> found;
        table_.changed.wait_for(lock, limit, [&] {
            for (const auto& [id, reader] : readers)
                if (reader.waits) read(id, reader, found);
            for (; read_ < table_.messages.size(); ++read_) {
                const part::PublishedMessage& message = table_.messages[read_];
                if (readers.contains(message.id))
                    found[message.id].messages.push_back(message.bytes);
            }
            return std::exchange(woken_, false) || !found.empty();
        });
        return found;
    }
    void publish(const std::vector<part::PublishedMessage>& messages) {
        const std::lock_guard lock{table_.mutex};
        table_.messages.insert(table_.messages.end(), messages.begin(), messages.end());
        table_.changed.notify_all();
    }
    void wake() {
        const std::lock_guard lock{table_.mutex};
        woken_ = true;
        table_.changed.notify_all();
    }

private:
    using State = part::FanoutBatch::State;
    void read(const std::string& id, const part::RoomReader& reader,
              std::map<std::string, part::FanoutBatch>& found) {
        const auto at = table_.rooms.find(id);
        const bool has = at != table_.rooms.end();
        if (!has && reader.epoch == no_id) return;
        part::FanoutBatch batch;
        if (!has || (reader.epoch != no_id && reader.epoch != at->second.epoch)) {
            batch.state = table_.ended.contains(reader.epoch) ? State::over : State::gap;
        } else if (reader.from != 0 && reader.from < at->second.covers) {
            batch.state = State::gap;
        } else {
            batch.epoch = at->second.epoch;
            for (const auto& entry : at->second.entries)
                if (entry.position > reader.from) batch.entries.push_back(entry);
            if (batch.entries.empty()) return;
        }
        found[id] = std::move(batch);
    }
    RoomTable& table_;
    std::size_t read_;
    bool woken_ = false;
};

/// The connection of a server that makes the other calls.
class TableRooms {
public:
    explicit TableRooms(RoomTable& table) : table_{&table} {}
    [[nodiscard]] TableSubscription subscription() const { return TableSubscription{*table_}; }

    void load(std::string_view id, Completion<part::LoadedRoom> done) const {
        if (!detail::is_room_id(id)) return done(PersistenceError{RoomErrc::bad_room_id, {}, {}});
        const std::lock_guard lock{table_->mutex};
        const auto at = table_->rooms.find(id);
        if (at == table_->rooms.end()) return done(std::optional<StoredRoom>{});
        StoredRoom room{at->second.epoch, at->second.snapshot, {}, at->second.position};
        for (const auto& entry : at->second.entries) room.updates.push_back(entry.update);
        done(std::optional{std::move(room)});
    }
    std::error_code append(std::string_view id, BytesView update,
                           const part::ChangeId& change = {}) {
        return staged_.add(detail::StagedChange::append(id, update, change));
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        return staged_.add(detail::StagedChange::reset(id, epoch));
    }
    std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return staged_.add(detail::StagedChange::begin(id, epoch, again));
    }
    std::error_code erase(std::string_view id) {
        return staged_.add(detail::StagedChange::erase(id));
    }
    void flush(Completion<part::FlushedRooms> done) {
        const std::lock_guard lock{table_->mutex};
        std::map<std::string, std::error_code> named;
        std::set<std::string> stored;
        for (const detail::StagedChange& change : staged_.take()) {
            if (!named.contains(change.id)) stored.insert(change.id);
            const std::error_code error = named.contains(change.id) ? RoomErrc{} : take(change);
            if (error) named.emplace(change.id, error);
        }
        part::FlushedRooms flushed;
        for (const auto& [id, code] : named) flushed.error.rooms.emplace_back(id, code);
        if (!named.empty()) flushed.error.code = named.begin()->second;
        for (const std::string& id : stored) {
            const auto at = table_->rooms.find(id);
            if (at == table_->rooms.end() || named.contains(id)) continue;
            flushed.positions.emplace_back(id, at->second.position);
            flushed.epochs.emplace_back(id, at->second.epoch);
        }
        table_->changed.notify_all();
        done(std::move(flushed));
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) const {
        const std::lock_guard lock{table_->mutex};
        const auto at = table_->rooms.find(id);
        const auto why = [&](RoomErrc code) { done(PersistenceError{code, {}, {}}); };
        if (!detail::is_room_id(id)) return why(RoomErrc::bad_room_id);
        if (at == table_->rooms.end()) return why(RoomErrc::unknown_room);
        if (covers > at->second.position) return why(RoomErrc::bad_position);
        if (covers < at->second.covers) return why(RoomErrc::stale_snapshot);
        at->second.snapshot.assign(snapshot.begin(), snapshot.end());
        at->second.covers = covers;
        std::erase_if(at->second.entries, [&](const auto& e) { return e.position <= covers; });
        done(PersistenceError{});
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) const {
        const std::lock_guard lock{table_->mutex};
        std::vector<std::string> ids;
        auto at = table_->rooms.upper_bound(after);
        for (; at != table_->rooms.end() && ids.size() < count; ++at) ids.push_back(at->first);
        done(std::move(ids));
    }

private:
    using Kind = detail::StagedChange::Kind;
    std::error_code take(const detail::StagedChange& change) {
        const auto at = table_->rooms.find(change.id);
        const bool has = at != table_->rooms.end();
        if (change.kind == Kind::append) {
            const Id epoch = continued_.of(change.id, change.change.epoch);
            if (!has || (epoch != no_id && epoch != at->second.epoch))
                return table_->ended.contains(epoch) ? RoomErrc::history_reset
                                                     : RoomErrc::unknown_room;
            part::ChangeId id = change.change;
            id.epoch = at->second.epoch;
            at->second.entries.push_back({at->second.position = ++table_->last, id, change.update});
            return {};
        }
        if (change.kind == Kind::begin && change.again && table_->ended.contains(change.epoch))
            return RoomErrc::history_reset;
        if (change.kind == Kind::begin && has) {
            continued_.begun(change.id, change.epoch, at->second.epoch);
            return {};
        }
        if (has) table_->ended.insert(at->second.epoch);
        table_->rooms.erase(change.id);
        if (change.kind == Kind::erase) return {};
        const std::uint64_t begins = ++table_->last;
        table_->ended.erase(change.epoch);
        table_->rooms[change.id] = {change.epoch, begins, {}, {}, begins};
        return {};
    }
    RoomTable* table_;
    detail::StagedRooms staged_{};
    detail::ContinuedHistories continued_{};
};
static_assert(PersistenceLike<TableRooms> && BlockingFanoutLike<TableRooms>);

}  // namespace belay_test
