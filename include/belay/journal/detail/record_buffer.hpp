// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_buffer.hpp
/// RecordBuffer: records in memory, as they will be in the file.
#pragma once

#include <cstring>  // std::memcpy, std::memmove

#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Builds consecutive records. Only `drop_front` moves its content.
///
/// Thread safety: none of its own; its content may be read while more is put after it.
class RecordBuffer {
public:
    /// Throws: std::bad_alloc.
    explicit RecordBuffer(std::size_t capacity)
        : bytes_{new std::byte[capacity]}, capacity_{capacity} {}
    RecordBuffer(const RecordBuffer&) = delete;
    RecordBuffer& operator=(const RecordBuffer&) = delete;
    ~RecordBuffer() { delete[] bytes_; }

    /// Adds a record and computes its checksum.
    ///
    /// Pre: fits(record_bytes(payload.size())); `payload_crc` is the CRC32C of `payload`.
    void put(journal_format::RecordHeader header, BytesView payload, std::uint32_t payload_crc,
             std::uint32_t seed) noexcept {
        using namespace journal_format;
        const std::size_t bytes = record_bytes(payload.size());
        BELAY_PRECONDITION(fits(bytes),
                           "RecordBuffer::put: the buffer must have space for the record");
        std::byte* const p = bytes_ + size_;
        header.length = static_cast<std::uint32_t>(payload.size());
        encode(header, p);
        store_le<std::uint32_t>(p, record_crc(p, payload_crc, seed));
        // Clears the last 8 bytes, some of which are padding, before the payload is copied over
        // them.
        if (!payload.empty()) {
            store_le<std::uint64_t>(p + bytes - alignment, 0);
            std::memcpy(p + record_header_bytes, payload.data(), payload.size());
        }
        size_ += bytes;
    }

    /// Removes the first `count` bytes.   Complexity: O(bytes after them).
    void drop_front(std::size_t count) noexcept {
        BELAY_PRECONDITION(count <= size_,
                           "RecordBuffer::drop_front: the buffer must hold the records");
        std::memmove(bytes_, bytes_ + count, size_ - count);
        size_ -= count;
    }

    /// Removes the last `count` bytes.
    void drop_back(std::size_t count) noexcept {
        BELAY_PRECONDITION(count <= size_,
                           "RecordBuffer::drop_back: the buffer must hold the records");
        size_ -= count;
    }

    [[nodiscard]] bool fits(std::size_t count) const noexcept { return count <= capacity_ - size_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] BytesView bytes() const noexcept { return {bytes_, size_}; }

private:
    // Not std::unique_ptr: <memory> would be 6 % of the compile time of including a journal.
    std::byte* const bytes_;
    const std::size_t capacity_;
    std::size_t size_ = 0;
};

}}}  // namespace belay::detail
