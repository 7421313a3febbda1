// SPDX-License-Identifier: MIT
/// \file belay/room/detail/staged_rooms.hpp
/// StagedRooms: the changes of rooms that wait for a flush. ContinuedHistories: what they mean by
/// a history that another server has begun first. packed_parts: a snapshot as one value.
#pragma once

#include <cstddef>       // std::byte, std::ptrdiff_t, std::size_t
#include <cstdint>       // std::uint8_t, std::uint32_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::nullopt, std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move, std::pair
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A change of a room that waits for a flush.
struct StagedChange {
    enum class Kind : std::uint8_t { append, reset, begin, erase };

    [[nodiscard]] static StagedChange append(std::string_view id, BytesView update,
                                             const part::ChangeId& change = {}) {
        return {Kind::append, std::string{id}, {}, {update.begin(), update.end()}, change};
    }
    [[nodiscard]] static StagedChange reset(std::string_view id, const Id& epoch) {
        return {.kind = Kind::reset, .id = std::string{id}, .epoch = epoch};
    }
    [[nodiscard]] static StagedChange begin(std::string_view id, const Id& epoch, bool again) {
        return {.kind = Kind::begin, .id = std::string{id}, .epoch = epoch, .again = again};
    }
    [[nodiscard]] static StagedChange erase(std::string_view id) {
        return {.kind = Kind::erase, .id = std::string{id}};
    }
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

/// Puts the changes of a room one behind the other, in the order of the ids.
inline void sort_by_room(std::vector<StagedChange>& changes) {
    sort_stably(changes, [](const StagedChange& a, const StagedChange& b) { return a.id < b.id; });
}

/// The changes of rooms since the last flush, in their order.
///
/// Complexity:    O(log rooms).   Throws: std::bad_alloc.
/// Thread safety: none.
class StagedRooms {
public:
    /// `bytes_max`: how much memory all changes may take.
    explicit StagedRooms(std::size_t bytes_max = ~std::size_t{0}) noexcept
        : bytes_max_{bytes_max} {}

    /// Errors: bad_room_id; storage_busy: the changes would take too much memory.
    [[nodiscard]] std::error_code add(StagedChange change) {
        if (!is_room_id(change.id)) return RoomErrc::bad_room_id;
        const std::size_t size = change.size();
        if (size > bytes_max_ || bytes_ > bytes_max_ - size) return RoomErrc::storage_busy;
        if (change.kind != StagedChange::Kind::append)
            histories_.insert_or_assign(change.id, change.kind != StagedChange::Kind::erase);
        bytes_ += size;
        changes_.push_back(std::move(change));
        return {};
    }
    /// Whether a room has a history after these changes; nothing if they begin and erase none.
    [[nodiscard]] std::optional<bool> has_history(std::string_view id) const {
        const auto found = histories_.find(id);
        return found != histories_.end() ? std::optional{found->second} : std::nullopt;
    }
    /// Removes and returns all changes.
    [[nodiscard]] std::vector<StagedChange> take() noexcept {
        histories_.clear();
        bytes_ = 0;
        return std::exchange(changes_, {});
    }
    /// Removes and returns all changes, those of a room one behind the other, in the order of the
    /// ids.
    [[nodiscard]] std::vector<StagedChange> take_by_room() {
        std::vector<StagedChange> changes = take();
        sort_by_room(changes);
        return changes;
    }

private:
    std::size_t bytes_max_;
    std::vector<StagedChange> changes_{};
    std::map<std::string, bool, std::less<>> histories_{};
    std::size_t bytes_ = 0;
};

/// Returns the changes of the first room.   Pre: there are changes, by rooms.
[[nodiscard]] inline std::span<const StagedChange> changes_of_room(
    std::span<const StagedChange> changes) noexcept {
    std::size_t count = 1;
    while (count < changes.size() && changes[count].id == changes[0].id) ++count;
    return changes.first(count);
}
/// Returns the changes of a room that are stored together: the first one, or appends of one server
/// to one history, of at most `bytes_max`, or a longer first one.
/// Pre: there are changes.
[[nodiscard]] inline std::span<const StagedChange> changes_at_once(
    std::span<const StagedChange> changes, std::size_t bytes_max) noexcept {
    constexpr std::size_t count_max = 1000;
    const StagedChange& first = changes[0];
    std::size_t count = 1;
    std::size_t bytes = first.update.size();
    while (first.kind == StagedChange::Kind::append && count < changes.size() &&
           count < count_max) {
        const StagedChange& next = changes[count];
        bytes += next.update.size();
        const bool fits = next.kind == first.kind && next.change.server == first.change.server &&
                          next.change.epoch == first.change.epoch && bytes <= bytes_max;
        if (!fits) break;
        ++count;
    }
    return changes.first(count);
}

/// Stores changes: all at once, or those of each room by themselves if `store` returns `of_room`,
/// which is then the error of a room. Any other error ends it.
///
/// `store(changes, flushed)` stores all of the changes, or none, and then returns its error.
template <class Store>
[[nodiscard]] part::FlushedRooms flushed_rooms(std::vector<StagedChange> changes,
                                               std::error_code of_room, const Store& store) {
    part::FlushedRooms flushed;
    if (changes.empty()) return flushed;
    std::span<const StagedChange> left{changes};
    PersistenceError error = store(left, flushed);
    if (!error) return flushed;
    if (error.code != of_room) return error;
    sort_by_room(changes);
    while (!left.empty()) {
        const std::span<const StagedChange> some = changes_of_room(left);
        left = left.subspan(some.size());
        error = store(some, flushed);
        if (error && error.code != of_room) return error;
        if (error) add_error(flushed.error, some[0].id, std::move(error));
    }
    return flushed;
}

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

/// Returns the parts of a snapshot as one value, each after its length.
[[nodiscard]] inline std::string packed_parts(std::span<const Bytes> parts) {
    std::string all;
    for (const Bytes& part : parts) {
        std::byte size[4];
        store_le(size, static_cast<std::uint32_t>(part.size()));
        all += as_text(size);
        all += as_text(part);
    }
    return all;
}
/// Returns nothing if the value is damaged.
[[nodiscard]] inline std::optional<std::vector<Bytes>> unpacked_parts(BytesView all) {
    std::vector<Bytes> parts;
    while (!all.empty()) {
        if (all.size() < 4) return std::nullopt;
        const std::size_t size = load_le<std::uint32_t>(all.data());
        all = all.subspan(4);
        if (size > all.size()) return std::nullopt;
        parts.emplace_back(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
        all = all.subspan(size);
    }
    return parts;
}

}}}  // namespace belay::detail
