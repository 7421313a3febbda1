// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_bytes.hpp
/// SyncReader and append functions: ids, stamps and texts of sync as bytes, little endian.
#pragma once

#include <algorithm>     // std::copy
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <limits>        // std::numeric_limits
#include <system_error>  // std::error_code, std::generic_category

#include <belay/core/bytes.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Appends a number in little-endian order.
template <class Number>
void append_number(Bytes& into, Number number) {
    std::byte bytes[sizeof number];
    store_le(bytes, number);
    into.insert(into.end(), bytes, bytes + sizeof number);
}
inline void append_id(Bytes& into, const Id& id) { into.insert(into.end(), id.begin(), id.end()); }
inline void append_stamp(Bytes& into, const Stamp& stamp) {
    append_number(into, static_cast<std::uint64_t>(stamp.wall.time_since_epoch().count()));
    append_number(into, stamp.counter);
    append_id(into, stamp.origin);
}
/// Appends bytes with their length in 4 bytes.   Returns: false if they are too long for that.
[[nodiscard]] inline bool append_text(Bytes& into, BytesView text) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) return false;
    const std::size_t at = into.size();
    into.resize(at + 4 + text.size());
    store_le(into.data() + at, static_cast<std::uint32_t>(text.size()));
    std::copy(text.begin(), text.end(), into.data() + at + 4);
    return true;
}
/// Appends an error as its category (1 byte) and its value (4 bytes). An error of a category that
/// is only known here becomes store_failed.
inline void append_error(Bytes& into, const std::error_code& error) {
    std::uint32_t category = 1;
    auto value = static_cast<std::uint32_t>(error.value());
    if (error.category() == queue_category()) {
        category = 2;
    } else if (error.category() == std::generic_category()) {
        category = 3;
    } else if (error && error.category() != sync_category()) {
        value = static_cast<std::uint32_t>(SyncErrc::store_failed);
    }
    into.push_back(static_cast<std::byte>(category));
    append_number(into, value);
}

/// Takes bytes apart. It returns zeros after the end, and `whole` is false then.
class SyncReader {
public:
    explicit SyncReader(BytesView bytes) noexcept : left_{bytes} {}
    [[nodiscard]] std::byte byte() noexcept {
        const BytesView one = take(1);
        return one.empty() ? std::byte{0} : one[0];
    }
    [[nodiscard]] std::uint32_t number() noexcept {
        const BytesView four = take(4);
        return four.empty() ? 0 : load_le<std::uint32_t>(four.data());
    }
    [[nodiscard]] std::uint64_t long_number() noexcept {
        const BytesView eight = take(8);
        return eight.empty() ? 0 : load_le<std::uint64_t>(eight.data());
    }
    [[nodiscard]] Id id() noexcept {
        Id id{};
        const BytesView bytes = take(id.size());
        std::copy(bytes.begin(), bytes.end(), id.begin());
        return id;
    }
    [[nodiscard]] Stamp stamp() noexcept {
        Stamp stamp{};
        stamp.wall = WallTime{Duration{static_cast<std::int64_t>(long_number())}};
        stamp.counter = number();
        stamp.origin = id();
        return stamp;
    }
    [[nodiscard]] std::error_code error() noexcept {
        const auto category = static_cast<unsigned>(byte());
        const auto value = static_cast<int>(number());
        if (category == 2) return {value, queue_category()};
        if (category == 3) return {value, std::generic_category()};
        return {value, sync_category()};
    }
    [[nodiscard]] BytesView text() noexcept { return take(number()); }
    /// Returns whether all bytes that were read were there.
    [[nodiscard]] bool valid() const noexcept { return !short_; }
    /// Returns whether all bytes that were read were there, and nothing is left.
    [[nodiscard]] bool whole() const noexcept { return !short_ && left_.empty(); }

private:
    [[nodiscard]] BytesView take(std::size_t count) noexcept {
        if (count > left_.size()) {
            short_ = true;
            left_ = {};
            return {};
        }
        const BytesView taken = left_.first(count);
        left_ = left_.subspan(count);
        return taken;
    }
    BytesView left_;
    bool short_ = false;
};

}}}  // namespace belay::detail
