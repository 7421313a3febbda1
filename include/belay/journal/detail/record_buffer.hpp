// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_buffer.hpp
/// RecordBuffer: records in memory, as they will be in the file.
#pragma once

#include <cstring>  // std::memcpy, std::memmove

#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Builds records one behind the other. It never moves what it holds, but in `drop_front`.
///
/// Thread safety: none of its own; what is in it may be read while more is put behind it.
class RecordBuffer {
public:
    /// Throws: std::bad_alloc.
    explicit RecordBuffer(std::size_t capacity)
        : bytes_{new std::byte[capacity]}, capacity_{capacity} {}
    RecordBuffer(const RecordBuffer&) = delete;
    RecordBuffer& operator=(const RecordBuffer&) = delete;
    ~RecordBuffer() { delete[] bytes_; }

    /// Adds a record; its checksum is made here.
    ///
    /// Pre: fits(record_bytes(payload.size())); `payload_crc` is the CRC32C of `payload`.
    void put(journal_format::RecordHeader header, BytesView payload, std::uint32_t payload_crc,
             std::uint32_t seed) noexcept {
        using namespace journal_format;
        const std::size_t bytes = record_bytes(payload.size());
        BELAY_PRECONDITION(fits(bytes), "RecordBuffer::put: there must be room");
        std::byte* const p = bytes_ + size_;
        header.length = static_cast<std::uint32_t>(payload.size());
        encode(header, p);
        store_le<std::uint32_t>(p, record_crc(p, payload_crc, seed));
        // Before the payload is copied over it: the last 8 bytes, of which some are padding.
        if (!payload.empty()) {
            store_le<std::uint64_t>(p + bytes - alignment, 0);
            std::memcpy(p + record_header_bytes, payload.data(), payload.size());
        }
        size_ += bytes;
    }

    /// Forgets the first `count` bytes.   Complexity: O(bytes behind them).
    void drop_front(std::size_t count) noexcept {
        BELAY_PRECONDITION(count <= size_, "RecordBuffer::drop_front: must be there");
        std::memmove(bytes_, bytes_ + count, size_ - count);
        size_ -= count;
    }

    /// Forgets the last `count` bytes.
    void drop_back(std::size_t count) noexcept {
        BELAY_PRECONDITION(count <= size_, "RecordBuffer::drop_back: must be there");
        size_ -= count;
    }

    [[nodiscard]] bool fits(std::size_t count) const noexcept { return count <= capacity_ - size_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] BytesView bytes() const noexcept { return {bytes_, size_}; }

private:
    // Not std::unique_ptr: <memory> would be 6 % of what including a journal costs.
    std::byte* const bytes_;
    const std::size_t capacity_;
    std::size_t size_ = 0;
};

}}}  // namespace belay::detail
