// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/unwritten_bytes.hpp
/// UnwrittenBytes: bytes that a full disk did not let an opening write again.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional

#include <belay/journal/detail/file_advice.hpp>
#include <belay/journal/file_system_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Bytes at the end of a file that can be read, and that may not be on the medium.
///
/// They are in the last file, or in `sealed`, the file before it.
/// Thread safety: distinct objects safe.
template <class File>
struct UnwrittenBytes {
    std::optional<File> sealed{};
    std::uint32_t begin = 0;
    std::uint32_t end = 0;

    [[nodiscard]] bool empty() const noexcept { return begin == end; }
    void clear() noexcept {
        sealed.reset();
        begin = end = 0;
    }
    /// Writes them again, as far as there is space, and flushes the sealed file. The caller flushes
    /// the last one.
    ///
    /// Sets `fatal` if the content of the medium is then unknown: after all errors except a lack of
    /// space for a write.
    template <class Last>
    [[nodiscard]] std::error_code write(Last& last, bool& fatal) noexcept {
        if (empty()) return {};
        std::error_code error = sealed ? copy(*sealed) : copy(last);
        fatal = error && !is_lack_of_space(error);
        if (error) return error;
        if (sealed) error = sealed->sync();
        fatal = static_cast<bool>(error);
        if (!error) clear();
        return error;
    }

private:
    template <class Into>
    std::error_code copy(Into& file) noexcept {
        std::array<std::byte, 4096> piece;
        for (std::uint32_t at = begin; at < end;) {
            const std::size_t left = end - at;
            const std::span<std::byte> wanted{piece.data(), smaller(left, piece.size())};
            const Result<std::size_t> got = file.read(at, wanted);
            if (!got) return got.error();
            if (*got == 0) return std::make_error_code(std::errc::io_error);
            const std::error_code error = file.write(at, BytesView{piece.data(), *got});
            if (error) return error;
            at += static_cast<std::uint32_t>(*got);
            if (!sealed) begin = at;
        }
        return {};
    }
};

}}}  // namespace belay::detail
