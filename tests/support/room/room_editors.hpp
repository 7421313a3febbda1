// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_editors.hpp
/// RoomEditors: several clients of a RoomWorld, and how many of them are connected or closed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_world.hpp"

namespace belay_test {

/// Several clients of one RoomWorld.
struct RoomEditors {
    /// Adds a client, which makes this request when it dials.
    RoomEditor& add(RoomWorld& world, const std::string& host, belay::RoomRequest request) {
        world.requests[host] = std::move(request);
        all.push_back(std::make_unique<RoomEditor>(world, host, first_author + all.size()));
        return *all.back();
    }
    void dial() {
        for (const auto& one : all) one->dial();
    }
    [[nodiscard]] long online() const {
        return count([](const RoomEditor& one) { return one.online(); });
    }
    [[nodiscard]] long synced() const {
        return count([](const RoomEditor& one) { return one.synced; });
    }
    [[nodiscard]] long closed_with(int code) const {
        return count([&](const RoomEditor& one) { return one.closed_with == code; });
    }

    std::vector<std::unique_ptr<RoomEditor>> all{};
    std::uint64_t first_author = 100;

private:
    template <class F>
    [[nodiscard]] long count(F is) const {
        return std::count_if(all.begin(), all.end(), [&](const auto& one) { return is(*one); });
    }
};

/// Dials, and requests a document as the user eve.   Returns: the number of frames received.
inline std::size_t enter_as_eve(RoomWorld& world, HocuspocusClient& client,
                                const std::string& board) {
    client.dial();
    client.token(board, "eve");
    world.run(std::chrono::seconds{1});
    return client.received().size();
}

}  // namespace belay_test
