// SPDX-License-Identifier: MIT
/// \file belay/link/detail/stream_output.hpp
/// StreamOutput: what was framed, and is not written yet.
#pragma once

#include <cstddef>  // std::ptrdiff_t

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What a transport over a stream writes from.   Thread safety: distinct objects safe.
class StreamOutput {
public:
    /// Where a framing appends; only appends.
    [[nodiscard]] Bytes& end() noexcept {
        // What is written already leaves when that moves fewer bytes than it frees.
        if (first_ != 0 && first_ >= bytes_.size() - first_) {
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        return bytes_;
    }
    /// Throws: std::bad_alloc, and then nothing was added.
    void append(BytesView bytes) {
        Bytes& to = end();
        const std::size_t size = to.size() + bytes.size();
        if (size > to.capacity()) to.reserve(larger(size, 2 * to.capacity()));
        to.insert(to.end(), bytes.begin(), bytes.end());
    }

    /// Takes the last bytes back.
    void take_back(std::size_t bytes) noexcept { bytes_.resize(bytes_.size() - bytes); }

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

}}}  // namespace belay::detail
