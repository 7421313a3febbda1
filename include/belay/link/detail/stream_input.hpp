// SPDX-License-Identifier: MIT
/// \file belay/link/detail/stream_input.hpp
/// StreamInput: the unused bytes of a stream, from which a framing cuts messages.
#pragma once

#include <cstring>  // std::memmove
#include <memory>   // std::unique_ptr
#include <span>     // std::span
#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/link/framing_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The input buffer of a transport over a stream.
///
/// The buffer has `bytes_min`. It grows while a long message arrives, to at most twice the bytes
/// that are there, and shrinks again afterwards. So a peer that only announces a length costs no
/// memory.
///
/// Thread safety: distinct objects safe.
template <FramingLike Framing>
class StreamInput {
public:
    /// The size of one read. It holds several messages of most protocols, so that system calls are
    /// few.
    static constexpr std::size_t bytes_min = std::size_t{64} << 10U;

    explicit StreamInput(Framing framing) noexcept : framing_{std::move(framing)} {}

    /// Limits the messages that begin from here on.
    void limit_messages(std::size_t bytes) noexcept { hints_.message_bytes_max = bytes; }

    /// Returns the space for the next bytes, never empty.
    /// Throws: std::bad_alloc; then nothing has changed.
    [[nodiscard]] std::span<std::byte> space() {
        const std::size_t have = end_ - begin_;
        const bool small_again = capacity_ > bytes_min && have < bytes_min && wanted_ <= bytes_min;
        const bool is_full = begin_ == 0 && end_ == capacity_;
        if (is_full || small_again) {
            // Grows only when it is full, and at most to twice that, so each byte is moved only a
            // few times.
            const std::size_t twice = 2 * have;
            move_to(larger(bytes_min, wanted_ > have ? smaller(wanted_, twice) : twice));
        } else if (begin_ != 0 && (have == 0 || capacity_ - begin_ < larger(wanted_, have + 1))) {
            if (have != 0) std::memmove(buffer_.get(), buffer_.get() + begin_, have);
            begin_ = 0;
            end_ = have;
        }
        return {buffer_.get() + end_, capacity_ - end_};
    }
    /// Records that `bytes` bytes were read into the result of space().
    void arrived(std::size_t bytes) noexcept { end_ += bytes; }

    /// Drops all bytes, so that the whole buffer is free.
    void drop() noexcept { begin_ = end_ = wanted_ = 0; }

    /// Returns the next cut. Its views are valid until the next call of space().
    [[nodiscard]] part::Cut next() noexcept {
        const BytesView bytes{buffer_.get() + begin_, end_ - begin_};
        // The framing sees no bytes here, so `seen` does not change.
        if (bytes.empty() || bytes.size() < wanted_) return part::Cut::more(wanted_);
        const part::Cut cut = framing_.cut(bytes, hints_);
        if (cut.kind == part::Cut::Kind::more) {
            hints_.seen = bytes.size();
            wanted_ = cut.bytes;
            return cut;
        }
        hints_.seen = wanted_ = 0;
        if (cut.kind == part::Cut::Kind::failed) return cut;
        const bool sound = cut.bytes != 0 && cut.bytes <= bytes.size();
        BELAY_PRECONDITION(sound,
                           "FramingLike::cut: the function must use at least 1 byte, and at most "
                           "the bytes that it received");
        if (!sound) return part::Cut::garbage();
        begin_ += cut.bytes;
        return cut;
    }

    [[nodiscard]] Framing& framing() noexcept { return framing_; }
    /// Returns the size of the buffer in memory.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

private:
    void move_to(std::size_t capacity) {
        const std::size_t have = end_ - begin_;
        // Not value-initialized, because reading into it writes it.
        std::unique_ptr<std::byte[]> other{new std::byte[capacity]};
        if (have != 0) std::memcpy(other.get(), buffer_.get() + begin_, have);
        buffer_ = std::move(other);
        capacity_ = capacity;
        begin_ = 0;
        end_ = have;
    }

    Framing framing_;
    part::CutHints hints_{};
    std::unique_ptr<std::byte[]> buffer_{};
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t wanted_ = 0;  // total bytes needed before the next call of the framing
};

}}}  // namespace belay::detail
