// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_bytes.hpp
/// append_field and SyncReader: the values of sync as bytes, little endian.
#pragma once

#include <algorithm>     // std::copy
#include <concepts>      // std::same_as, std::unsigned_integral
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <limits>        // std::numeric_limits
#include <optional>      // std::optional
#include <system_error>  // std::error_code, std::generic_category
#include <variant>       // std::get_if

#include <belay/core/bytes.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/conflict.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the number of a category that every program has.
[[nodiscard]] inline unsigned number_of_category(const std::error_category& category) noexcept {
    if (category == queue_category()) return 2;
    return category == std::generic_category() ? 3 : 1;
}
[[nodiscard]] inline const std::error_category& category_numbered(unsigned number) noexcept {
    if (number == 2) return queue_category();
    return number == 3 ? std::generic_category() : sync_category();
}
/// Returns an error of such a category: store_failed for one of another category.
[[nodiscard]] inline std::error_code error_known_elsewhere(const std::error_code& error) noexcept {
    if (!error) return {0, sync_category()};
    const bool is_known =
        category_numbered(number_of_category(error.category())) == error.category();
    return is_known ? error : SyncErrc::store_failed;
}

/// Appends a number, a flag (1 byte), or the fields of a value, in little-endian order.
///
/// - A duration is its nanoseconds (8 bytes), and an optional value follows a flag.
/// - An error is its category (1 byte) and its value (4). An error of a category that is only known
///   here becomes store_failed.
/// - The reason of a conflict is its index (1 byte), and the two stamps of StaleTimestamp.
template <class T>
void append_field(Bytes& into, const T& one) {
    if constexpr (std::same_as<T, bool>) {
        into.push_back(std::byte{one});
    } else if constexpr (std::unsigned_integral<T>) {
        std::byte bytes[sizeof one];
        store_le(bytes, one);
        into.insert(into.end(), bytes, bytes + sizeof one);
    } else if constexpr (std::same_as<T, Id>) {
        into.insert(into.end(), one.begin(), one.end());
    } else if constexpr (std::same_as<T, Duration>) {
        append_field(into, static_cast<std::uint64_t>(one.count()));
    } else if constexpr (std::same_as<T, Stamp>) {
        append_field(into, one.wall.time_since_epoch());
        append_field(into, one.counter);
        append_field(into, one.origin);
    } else if constexpr (std::same_as<T, std::error_code>) {
        const std::error_code known = error_known_elsewhere(one);
        into.push_back(static_cast<std::byte>(number_of_category(known.category())));
        append_field(into, static_cast<std::uint32_t>(known.value()));
    } else if constexpr (std::same_as<T, ConflictReason>) {
        into.push_back(static_cast<std::byte>(one.index()));
        if (const auto* const stale = std::get_if<StaleTimestamp>(&one)) {
            append_field(into, stale->local);
            append_field(into, stale->remote);
        }
    } else if constexpr (ListsFields<const T>) {
        T::each_field(one, [&](auto&&, const auto& field) { append_field(into, field); });
    } else {
        append_field(into, one.has_value());
        if (one) append_field(into, *one);
    }
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

/// Takes bytes apart. It returns zeros after the end, and `whole` is false then.
class SyncReader {
public:
    explicit SyncReader(BytesView bytes) noexcept : left_{bytes} {}
    /// Reads what append_field() has appended.
    template <class T>
    void field(T& one) noexcept {
        if constexpr (std::same_as<T, bool>) {
            one = byte() != std::byte{0};
        } else if constexpr (std::unsigned_integral<T>) {
            const BytesView bytes = take(sizeof one);
            one = bytes.empty() ? 0 : load_le<T>(bytes.data());
        } else if constexpr (std::same_as<T, Id>) {
            one = {};
            const BytesView bytes = take(one.size());
            std::copy(bytes.begin(), bytes.end(), one.begin());
        } else if constexpr (std::same_as<T, Duration>) {
            one = Duration{static_cast<std::int64_t>(read<std::uint64_t>())};
        } else if constexpr (std::same_as<T, Stamp>) {
            one.wall = WallTime{read<Duration>()};
            field(one.counter);
            field(one.origin);
        } else if constexpr (std::same_as<T, std::error_code>) {
            const auto category = static_cast<unsigned>(byte());
            const auto value = static_cast<int>(read<std::uint32_t>());
            one = {value, category_numbered(category)};
        } else if constexpr (std::same_as<T, ConflictReason>) {
            const auto index = static_cast<unsigned>(byte());
            one = ConcurrentModification{};
            if (index == 0) one = ElementNotFound{};
            if (index == 1) one = ElementAlreadyExists{};
            if (index == 2) {
                const auto local = read<Stamp>();
                one = StaleTimestamp{local, read<Stamp>()};
            }
        } else if constexpr (ListsFields<T>) {
            T::each_field(one, [this](auto&&, auto& inner) { this->field(inner); });
        } else {
            one.reset();
            if (read<bool>()) field(one.emplace());
        }
    }
    template <class T>
    [[nodiscard]] T read() noexcept {
        T one{};
        field(one);
        return one;
    }
    [[nodiscard]] std::byte byte() noexcept {
        const BytesView one = take(1);
        return one.empty() ? std::byte{0} : one[0];
    }
    [[nodiscard]] BytesView text() noexcept { return take(read<std::uint32_t>()); }
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
