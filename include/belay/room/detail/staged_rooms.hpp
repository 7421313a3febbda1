// SPDX-License-Identifier: MIT
/// \file belay/room/detail/staged_rooms.hpp
/// StagedRooms: the changes of rooms that wait for a flush. ContinuedHistories: what they mean by
/// a history that another server has begun first.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::nullopt, std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move, std::pair
#include <vector>       // std::vector

#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A change of a room that waits for a flush.
struct StagedChange {
    enum class Kind : std::uint8_t { append, reset, begin, erase };

    /// Returns the approximate size in memory, in bytes.
    [[nodiscard]] std::size_t size() const noexcept {
        return sizeof(StagedChange) + id.size() + update.size();
    }

    Kind kind{};
    std::string id{};
    Id epoch{};               ///< of a history that begins
    Bytes update{};           ///< of an append
    part::ChangeId change{};  ///< of an append
    bool again = false;       ///< of a begin
};

/// The changes of rooms since the last flush, in their order.
///
/// Complexity:    O(log rooms).   Throws: std::bad_alloc.
/// Thread safety: none.
class StagedRooms {
public:
    void add(StagedChange change) {
        if (change.kind != StagedChange::Kind::append)
            histories_.insert_or_assign(change.id, change.kind != StagedChange::Kind::erase);
        bytes_ += change.size();
        changes_.push_back(std::move(change));
    }
    /// Whether a room has a history after these changes; nothing if they begin and erase none.
    [[nodiscard]] std::optional<bool> has_history(std::string_view id) const {
        const auto found = histories_.find(id);
        return found != histories_.end() ? std::optional{found->second} : std::nullopt;
    }
    /// Returns the approximate size of all changes in memory, in bytes.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// Removes and returns all changes.
    [[nodiscard]] std::vector<StagedChange> take() noexcept {
        histories_.clear();
        bytes_ = 0;
        return std::exchange(changes_, {});
    }

private:
    std::vector<StagedChange> changes_{};
    std::map<std::string, bool, std::less<>> histories_{};
    std::size_t bytes_ = 0;
};

/// The histories that continue instead of those that this server has begun.
///
/// Memory:        of each room, the last one.
/// Complexity:    O(log rooms).
/// Thread safety: none.
class ContinuedHistories {
public:
    /// A begin of `asked` was carried out: since then, the room has the history `found`.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as in `of`, the room and its question
    void begun(std::string_view id, const Id& asked, const Id& found) {
        const auto before = found_.find(id);
        if (before != found_.end()) found_.erase(before);
        if (asked != found) found_.emplace(id, std::pair{asked, found});
    }
    /// Returns the history that `epoch` stands for.
    [[nodiscard]] Id of(std::string_view id, const Id& epoch) const {
        const auto found = found_.find(id);
        return found != found_.end() && found->second.first == epoch ? found->second.second : epoch;
    }

private:
    std::map<std::string, std::pair<Id, Id>, std::less<>> found_{};
};

}}}  // namespace belay::detail
