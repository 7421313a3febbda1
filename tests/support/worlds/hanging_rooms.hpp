// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/hanging_rooms.hpp
/// HangingRooms: a LateStore some of whose calls get no answer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/worlds/late_rooms.hpp"

namespace belay_test {

/// The calls of a storage that get no answer.
struct HangingCalls {
    [[nodiscard]] bool hangs(sim::Host& host, const char* what, std::uint32_t times = 1) {
        return !world.healed_at() && percent != 0 && host.chance(what, times * percent);
    }

    sim::World& world;
    std::uint32_t percent = 0;
    std::vector<Completion<Result<std::optional<StoredRoom>, PersistenceError>>> loads{};
    std::vector<Completion<part::FlushedRooms>> flushes{};
    std::vector<Completion<PersistenceError>> saves{};
};

/// One server's view of a LateStore with calls that hang, which requests saves. It loses its
/// connection before some of the flushes that begin a history.
class HangingRooms {
public:
    HangingRooms(LateStore& store, HangingCalls& hanging, sim::Host& host, int number)
        : inner_{store, host, number},
          store_{&store},
          hanging_{&hanging},
          host_{&host},
          number_{number} {}

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        if (!hanging_->hangs(*host_, "a load hangs", 2)) return inner_.load(id, std::move(done));
        hanging_->world.reach("a load hangs");
        hanging_->loads.push_back(std::move(done));
    }
    std::error_code append(std::string_view id, BytesView update,
                           const part::ChangeId& change = {}) {
        return inner_.append(id, update, change);
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        begins_ = true;
        return inner_.reset(id, epoch);
    }
    std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        begins_ = true;
        return inner_.begin(id, epoch, again);
    }
    std::error_code erase(std::string_view id) { return inner_.erase(id); }
    void flush(Completion<part::FlushedRooms> done) {
        if (std::exchange(begins_, false) && !hanging_->world.healed_at() &&
            host_->chance("a first flush is lost", 30)) {
            hanging_->world.reach("a first flush is lost");
            store_->break_off(number_);
            return inner_.flush(std::move(done));
        }
        if (!hanging_->hangs(*host_, "a flush hangs")) return inner_.flush(std::move(done));
        // The flush is carried out, and never answered.
        hanging_->flushes.push_back(std::move(done));
        inner_.flush(Completion<part::FlushedRooms>{[](auto) noexcept {}});
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        if (!hanging_->hangs(*host_, "a save hangs"))
            return inner_.save(id, snapshot, covers, std::move(done));
        hanging_->saves.push_back(std::move(done));
    }
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        inner_.list(after, count, std::move(done));
    }
    std::vector<std::string> rooms_to_save() {
        std::vector<std::string> ids;
        for (const auto& [id, room] : store_->store.rooms)
            if (room.entries.size() > 2) ids.push_back(id);
        return ids;
    }
    void publish(std::string_view id, BytesView message) { inner_.publish(id, message); }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        inner_.subscribe(id, epoch, from, std::move(done));
    }

private:
    LateRooms inner_;
    LateStore* store_;
    HangingCalls* hanging_;
    sim::Host* host_;
    int number_;
    bool begins_ = false;  // the next flush begins a history
};
static_assert(FanoutLike<HangingRooms>);

}  // namespace belay_test
