// SPDX-License-Identifier: MIT
/// \file belay/link/detail/stream_output.hpp
/// StreamOutput: framed bytes that are not written yet.
#pragma once

#include <cstddef>  // std::ptrdiff_t

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The output buffer of a transport over a stream.   Thread safety: distinct objects safe.
class StreamOutput {
public:
    /// Returns the buffer for a framing, which may only append.
    [[nodiscard]] Bytes& end() noexcept {
        // Removes written bytes only if that moves at most as many bytes as it frees.
        if (first_ != 0 && first_ >= bytes_.size() - first_) {
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        return bytes_;
    }
    /// Appends bytes.   Throws: std::bad_alloc; then nothing was added.
    void append(BytesView bytes) {
        Bytes& to = end();
        const std::size_t size = to.size() + bytes.size();
        if (size > to.capacity()) to.reserve(larger(size, 2 * to.capacity()));
        to.insert(to.end(), bytes.begin(), bytes.end());
    }

    /// Removes the last bytes.
    void take_back(std::size_t bytes) noexcept { bytes_.resize(bytes_.size() - bytes); }

    /// Returns the bytes to write next.
    [[nodiscard]] BytesView pending() const noexcept { return BytesView{bytes_}.subspan(first_); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - first_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Removes the first `n` bytes, which were written.
    void consume(std::size_t n) noexcept {
        first_ += n;
        if (first_ != bytes_.size()) return;
        first_ = 0;
        bytes_.clear();
    }
    /// Frees the memory if it exceeds `keep` bytes and everything is written.
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
