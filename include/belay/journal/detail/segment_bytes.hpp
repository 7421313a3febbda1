// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_bytes.hpp
/// SegmentBytes: the bytes of a segment's file, of which a window is in memory.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/order.hpp>
#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What cannot be read is not there, and `error` says why.
template <class File>
class SegmentBytes {
public:
    /// Throws: std::bad_alloc.   Complexity: O(bytes), reads all of it once.
    explicit SegmentBytes(File file) : file_{std::move(file)} {
        const Result<std::uint64_t> size = file_.size();
        if (!size) {
            error_ = size.error();
            return;
        }
        file_bytes_ = *size;
        size_ = smaller<std::uint64_t>(*size, 2 * journal_format::segment_bytes_max);
        for (std::uint64_t at = 0; at < size_;) {
            const BytesView bytes = view(at, piece_bytes);
            if (bytes.empty()) break;
            const std::size_t zeros = zeros_at_end(bytes);
            if (zeros != bytes.size()) used_ = at + bytes.size() - zeros;
            at += bytes.size();
        }
    }

    [[nodiscard]] const std::error_code& error() const noexcept { return error_; }
    [[nodiscard]] std::uint64_t file_bytes() const noexcept { return file_bytes_; }
    [[nodiscard]] std::uint64_t begin() const noexcept { return 0; }
    /// As much of it as opening reads: no segment is so long.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// From here on there were only zeros when it was opened: whoever writes to it goes on behind.
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

    /// `length` bytes from `at` on, fewer at the end. Valid until the next call of anything.
    [[nodiscard]] BytesView view(std::uint64_t at, std::size_t length) {
        const Result<BytesView> bytes = window_.view(file_, at, length, size_);
        if (bytes) return *bytes;
        error_ = bytes.error();
        return {};
    }
    /// A few bytes, wherever: what is in memory stays there.
    [[nodiscard]] BytesView peek(std::uint64_t at, std::size_t length) {
        if (window_.has(at, length)) return view(at, length);
        far_.resize(length);
        const Result<std::size_t> got = file_.read(at, {far_.data(), length});
        if (!got) error_ = got.error();
        return BytesView{far_}.first(got ? *got : 0);
    }
    /// The header of the record at `at`; of kind none where there is no room for one.
    [[nodiscard]] journal_format::RecordHeader header(std::uint64_t at) {
        using namespace journal_format;
        const BytesView bytes = view(at, record_header_bytes);
        if (bytes.size() < record_header_bytes) return {};
        const RecordHeader h = decode_record_header(bytes.data());
        return h.length > size_ - at - record_header_bytes ? RecordHeader{} : h;
    }
    /// The seed that the record with this header must have.   Memory: a piece of its payload.
    [[nodiscard]] std::optional<std::uint32_t> seed(std::uint64_t at,
                                                    const journal_format::RecordHeader& h) {
        using namespace journal_format;
        std::uint32_t crc = 0;
        for (std::uint64_t done = 0; done < h.length;) {
            const BytesView bytes = view(
                at + record_header_bytes + done,
                static_cast<std::size_t>(smaller<std::uint64_t>(h.length - done, piece_bytes)));
            if (bytes.empty()) return std::nullopt;
            crc = crc32c(bytes, crc);
            done += bytes.size();
        }
        const BytesView header = view(at, record_header_bytes);
        if (header.size() < record_header_bytes) return std::nullopt;
        return seed_by_crc(h.crc, record_crc(header.data(), crc, 0));
    }
    /// The first place from `at` on where a record may begin: its kind is not zero.
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t at) {
        using namespace journal_format;
        constexpr std::uint64_t kind_word = 16;  // where in a header the kind is
        while (at < used_) {
            const BytesView bytes = view(at + kind_word, piece_bytes);
            if (bytes.size() < alignment) break;
            for (std::size_t i = 0; i + alignment <= bytes.size(); i += alignment) {
                if (load_le<std::uint64_t>(bytes.data() + i) != 0) return at + i;
            }
            at += aligned(bytes.size() - alignment + 1);
        }
        return size_;
    }

private:
    static constexpr std::size_t piece_bytes = std::size_t{64} << 10;

    static std::size_t zeros_at_end(BytesView bytes) noexcept {
        std::size_t n = bytes.size();
        while (n >= 8 && load_le<std::uint64_t>(bytes.data() + n - 8) == 0) n -= 8;
        while (n != 0 && bytes[n - 1] == std::byte{0}) --n;
        return bytes.size() - n;
    }

    File file_;
    FileWindow window_;
    Bytes far_;
    std::error_code error_;
    std::uint64_t file_bytes_ = 0;
    std::uint64_t size_ = 0;
    std::uint64_t used_ = 0;
};

/// The header of a segment that was made, and into which nothing was put yet; none of any other.
template <class File>
[[nodiscard]] std::optional<journal_format::SegmentHeader> fresh_segment(SegmentBytes<File>& bytes,
                                                                         std::uint64_t index) {
    using namespace journal_format;
    const Result<SegmentHeader> header = decode_segment_header(bytes.view(0, segment_header_bytes));
    if (!header || header->index != index || header->made_bytes > bytes.size() ||
        bytes.used() > header->made_bytes) {
        return std::nullopt;
    }
    if (header->made_bytes == segment_header_bytes) return *header;
    // The kept note, if there was one.
    const RecordHeader note = bytes.header(segment_header_bytes);
    if (note.kind != Kind::note || note.length > note_bytes_max ||
        segment_header_bytes + record_bytes(note.length) != header->made_bytes) {
        return std::nullopt;
    }
    const bool whole =
        bytes.seed(segment_header_bytes, note) == record_seed(header->nonce, header->run);
    return whole ? std::optional{*header} : std::nullopt;
}

}  // namespace belay::inline BELAY_ABI::detail
