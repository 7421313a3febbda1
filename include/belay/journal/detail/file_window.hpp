// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/file_window.hpp
/// FileWindow: reads a file record by record, and the disk in large pieces.
#pragma once

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>

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

}}}  // namespace belay::detail
