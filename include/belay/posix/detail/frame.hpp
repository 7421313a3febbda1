// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/frame.hpp
/// FrameReader and FrameWriter: whole messages over a stream of bytes.
///
/// A frame is: u32 length of the payload (little endian), u8 kind, payload. Pings and pongs carry
/// none.
#pragma once

#include <algorithm>  // std::min, std::max
#include <cstring>    // std::memcpy

#include <belay/core/bytes.hpp>

namespace belay::inline BELAY_ABI::posix {
namespace detail {

enum class FrameKind : std::uint8_t { data = 0, ping = 1, pong = 2 };

inline constexpr std::size_t frame_header_bytes = 5;

/// Writes the header of a frame.
inline void store_frame_header(std::byte* to, FrameKind kind, std::size_t payload) noexcept {
    store_le(to, static_cast<std::uint32_t>(payload));
    to[4] = static_cast<std::byte>(kind);
}

/// Finds frames in bytes that come in pieces.   Thread safety: distinct objects safe.
class FrameReader {
public:
    explicit FrameReader(std::size_t message_bytes_max) noexcept
        : message_bytes_max_{message_bytes_max} {}

    enum class Found : std::uint8_t {
        nothing,  ///< all bytes are used up
        message,  ///< see message()
        ping,
        pong,
        garbage  ///< a frame that is too long, or of an unknown kind
    };

    /// Takes bytes from the front, up to the end of a frame if there is one.
    ///
    /// Lengths are checked before anything is allocated; a long message gets its memory as it
    /// arrives, so that a header alone costs nothing.   Throws: std::bad_alloc.
    [[nodiscard]] Found next(BytesView& bytes) {
        if (header_have_ < frame_header_bytes) {
            const std::size_t n = std::min(frame_header_bytes - header_have_, bytes.size());
            if (n != 0) std::memcpy(header_ + header_have_, bytes.data(), n);
            header_have_ += n;
            bytes = bytes.subspan(n);
            if (header_have_ < frame_header_bytes) return Found::nothing;
            const Found found = begin();
            if (found != Found::nothing) {
                header_have_ = 0;
                return found;
            }
        }
        const std::size_t n = std::min(length_ - message_.size(), bytes.size());
        const std::size_t size = message_.size() + n;
        if (size > message_.capacity()) {
            message_.reserve(std::min(length_, std::max(size, 2 * message_.capacity())));
        }
        message_.insert(message_.end(), bytes.begin(),
                        bytes.begin() + static_cast<std::ptrdiff_t>(n));
        bytes = bytes.subspan(n);
        if (size < length_) return Found::nothing;
        header_have_ = 0;
        return Found::message;
    }

    /// Bounds the messages that begin from here on.
    void limit_messages(std::size_t bytes) noexcept { message_bytes_max_ = bytes; }

    /// The message that was found; may be moved away.
    [[nodiscard]] Bytes& message() noexcept { return message_; }

private:
    /// Messages up to this size are allocated at once.
    static constexpr std::size_t trusted_bytes = std::size_t{64} << 10;

    Found begin() {
        length_ = load_le<std::uint32_t>(header_);
        switch (static_cast<FrameKind>(header_[4])) {
            case FrameKind::data:
                if (length_ > message_bytes_max_) return Found::garbage;
                message_.clear();
                message_.reserve(std::min(length_, trusted_bytes));
                return Found::nothing;
            case FrameKind::ping:
                return length_ == 0 ? Found::ping : Found::garbage;
            case FrameKind::pong:
                return length_ == 0 ? Found::pong : Found::garbage;
        }
        return Found::garbage;
    }

    std::size_t message_bytes_max_;
    std::size_t length_ = 0;
    std::size_t header_have_ = 0;
    std::byte header_[frame_header_bytes]{};
    Bytes message_;
};

/// The frames that the kernel has not taken yet.   Thread safety: distinct objects safe.
class FrameWriter {
public:
    /// Adds a frame, without its first `skip` bytes, which are written already.
    /// Throws: std::bad_alloc, and then nothing was added.
    void append(FrameKind kind, BytesView payload, std::size_t skip = 0) {
        // What is written already leaves when that moves fewer bytes than it frees.
        if (first_ != 0 && first_ >= bytes_.size() - first_) {
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        const std::size_t size = bytes_.size() + frame_header_bytes + payload.size() - skip;
        if (size > bytes_.capacity()) bytes_.reserve(std::max(size, 2 * bytes_.capacity()));
        std::byte header[frame_header_bytes];
        store_frame_header(header, kind, payload.size());
        const std::size_t of_header = std::min(skip, frame_header_bytes);
        bytes_.insert(bytes_.end(), header + of_header, header + frame_header_bytes);
        const BytesView rest = payload.subspan(skip - of_header);
        bytes_.insert(bytes_.end(), rest.begin(), rest.end());
    }
    /// What is to be written next.
    [[nodiscard]] BytesView pending() const noexcept { return BytesView{bytes_}.subspan(first_); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - first_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// The first `n` bytes are written.
    void consume(std::size_t n) noexcept {
        first_ += n;
        if (first_ != bytes_.size()) return;
        first_ = 0;
        bytes_.clear();
    }
    /// Gives memory above `keep` bytes back, if all is written.
    void give_back_above(std::size_t keep) noexcept {
        if (empty() && bytes_.capacity() > keep) Bytes{}.swap(bytes_);
    }
    void clear() noexcept {
        consume(size());
        give_back_above(0);
    }

private:
    Bytes bytes_;
    std::size_t first_ = 0;
};

}  // namespace detail
}  // namespace belay::inline BELAY_ABI::posix
