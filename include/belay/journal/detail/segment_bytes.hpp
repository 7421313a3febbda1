// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_bytes.hpp
/// SegmentBytes: all bytes of a segment's file, read through a window in memory.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/order.hpp>
#include <belay/journal/detail/file_part.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A file, and the window into it.
template <class File>
struct FileAndWindow {
    File file;
    FileWindow window;
    Result<std::uint64_t> bytes;
};

/// Bytes that cannot be read are treated as absent, and `error` returns why.
template <class File>
class SegmentBytes : private FileAndWindow<File>, public FilePart<File> {
public:
    /// Reads the file.   Throws: std::bad_alloc.   Complexity: O(bytes), reads all of it once.
    explicit SegmentBytes(File opened)
        : FileAndWindow<File>{std::move(opened), {}, std::uint64_t{0}},
          FilePart<File>{this->file, this->window, read_range(*this)} {}
    SegmentBytes(const SegmentBytes&) = delete;
    SegmentBytes& operator=(const SegmentBytes&) = delete;

    [[nodiscard]] std::error_code error() const noexcept {
        return this->bytes ? FilePart<File>::error() : this->bytes.error();
    }
    [[nodiscard]] std::uint64_t file_bytes() const noexcept {
        return this->bytes ? *this->bytes : 0;
    }

private:
    /// Returns the range that an opening reads too. No segment is longer.
    static typename FilePart<File>::Range read_range(FileAndWindow<File>& opened) noexcept {
        opened.bytes = opened.file.size();
        return {0, smaller<std::uint64_t>(opened.bytes ? *opened.bytes : 0,
                                          2 * journal_format::segment_bytes_max)};
    }
};

/// Returns the header of a segment that was created and has no records yet, or none.
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
    RecordSearch records{static_cast<FilePart<File>&>(bytes)};
    const std::optional<FoundRecord> note = records.at(segment_header_bytes);
    const bool whole = note && note->header.kind == Kind::note &&
                       note->end() == header->made_bytes &&
                       note->seed == record_seed(header->nonce, header->run);
    return whole ? std::optional{*header} : std::nullopt;
}

}}}  // namespace belay::detail
