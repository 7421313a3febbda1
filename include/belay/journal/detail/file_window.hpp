// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/file_window.hpp
/// FileWindow: reads a file record by record, and the disk in large pieces. FilePart: the bytes of
/// a part of a segment, read through a window in memory.
#pragma once

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A part of a file in memory. It moves forward as bytes are requested.
class FileWindow {
public:
    /// Returns `length` bytes of the file from `offset` on. There are fewer only at `limit` or at
    /// the end of the file. Valid until the next call.   Throws: std::bad_alloc.
    template <class File>
    Result<BytesView> view(const File& file, std::uint64_t offset, std::size_t length,
                           std::uint64_t limit) {
        const Result<BytesView> bytes = at_least(file, offset, length, limit);
        if (!bytes) return bytes;
        return bytes->first(smaller(length, bytes->size()));
    }
    /// The same, plus all following bytes that are in memory.
    template <class File>
    Result<BytesView> at_least(const File& file, std::uint64_t offset, std::size_t length,
                               std::uint64_t limit) {
        if (offset >= limit) return BytesView{};
        length = static_cast<std::size_t>(smaller<std::uint64_t>(length, limit - offset));
        if (!has(offset, length)) {
            const auto count = static_cast<std::size_t>(
                smaller<std::uint64_t>(larger(length, ahead_bytes), limit - offset));
            if (bytes_.size() < count) {
                // For as much as the file may get: it is preallocated, and the limit moves.
                const Result<std::uint64_t> size = file.size();
                if (!size) return size.error();
                const auto most = static_cast<std::size_t>(
                    smaller<std::uint64_t>(*size, std::uint64_t{ahead_bytes}));
                bytes_.resize(larger(count, most));
            }
            begin_ = offset;
            size_ = 0;
            const Result<std::size_t> got = file.read(offset, {bytes_.data(), count});
            if (!got) return got.error();
            size_ = *got;
        }
        const auto skip = static_cast<std::size_t>(offset - begin_);
        return BytesView{bytes_.data() + skip, size_ - skip};
    }
    [[nodiscard]] bool has(std::uint64_t offset, std::size_t length) const noexcept {
        return begin_ <= offset && offset + length <= begin_ + size_;
    }
    void forget() noexcept { size_ = 0; }

private:
    static constexpr std::size_t ahead_bytes = std::size_t{128} << 10;
    Bytes bytes_;
    std::uint64_t begin_ = 0;
    std::size_t size_ = 0;
};

/// Returns the number of bytes without the zeros at their end.
[[nodiscard]] inline std::size_t bytes_before_zeros(BytesView bytes) noexcept {
    std::size_t n = bytes.size();
    while (n >= 8 && load_le<std::uint64_t>(bytes.data() + n - 8) == 0) n -= 8;
    while (n != 0 && bytes[n - 1] == std::byte{0}) --n;
    return n;
}

/// A source for RecordSearch. Bytes that cannot be read are treated as absent, and `error` returns
/// why.
///
/// Positions count from the beginning of the part.   Thread safety: none of its own.
template <class File>
class FilePart {
public:
    struct Range {
        std::uint64_t begin;
        std::uint64_t end;
    };

    /// Pre: the range begins at a multiple of 8; file and window outlive this object.
    /// Throws: std::bad_alloc.   Complexity: O(bytes), reads all of it once.
    FilePart(const File& file, FileWindow& window, Range range)
        : file_{file}, window_{window}, range_{range} {
        window_.forget();
        for (std::uint64_t at = 0; at < size();) {
            const BytesView bytes = view(at, piece_bytes);
            if (bytes.empty()) break;
            const std::size_t count = bytes_before_zeros(bytes);
            if (count != 0) used_ = at + count;
            at += bytes.size();
        }
    }

    [[nodiscard]] const std::error_code& error() const noexcept { return error_; }
    /// Returns the position of the part in its file.
    [[nodiscard]] std::uint64_t begin() const noexcept { return range_.begin; }
    [[nodiscard]] std::uint64_t size() const noexcept {
        return range_.end > range_.begin ? range_.end - range_.begin : 0;
    }
    /// Returns the position after which there were only zeros at construction: a writer continues
    /// there.
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

    /// Returns `length` bytes from `at` on, fewer at the end. Valid until the next call of any
    /// function.
    [[nodiscard]] BytesView view(std::uint64_t at, std::size_t length) {
        const Result<BytesView> bytes = window_.view(file_, range_.begin + at, length, range_.end);
        if (bytes) return *bytes;
        error_ = bytes.error();
        return {};
    }
    /// Reads a few bytes anywhere, without replacing the bytes in memory.
    [[nodiscard]] BytesView peek(std::uint64_t at, std::size_t length) {
        if (at >= size()) return {};
        length = static_cast<std::size_t>(smaller<std::uint64_t>(length, size() - at));
        if (window_.has(range_.begin + at, length)) return view(at, length);
        if (far_.size() < length) far_.resize(length);
        const Result<std::size_t> got = file_.read(range_.begin + at, {far_.data(), length});
        if (!got) error_ = got.error();
        return BytesView{far_}.first(got ? *got : 0);
    }
    /// Returns the first position from `at` on where a record may begin: its kind is not zero.
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t at) {
        using namespace journal_format;
        constexpr std::uint64_t kind_word = 16;  // the position of the kind in a header
        while (at < used_) {
            const BytesView bytes = view(at + kind_word, piece_bytes);
            if (bytes.size() < alignment) break;
            for (std::size_t i = 0; i + alignment <= bytes.size(); i += alignment) {
                if (load_le<std::uint64_t>(bytes.data() + i) != 0) return at + i;
            }
            at += aligned(bytes.size() - alignment + 1);
        }
        return size();
    }

private:
    static constexpr std::size_t piece_bytes = std::size_t{64} << 10;

    const File& file_;
    FileWindow& window_;
    Range range_;
    Bytes far_;
    std::error_code error_;
    std::uint64_t used_ = 0;
};

}}}  // namespace belay::detail
