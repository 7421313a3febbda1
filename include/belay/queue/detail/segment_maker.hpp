// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/segment_maker.hpp
/// SegmentMaker: makes segment files so that one that has its name is whole.
#pragma once

#include <string>  // std::string

#include <belay/queue/detail/record_buffer.hpp>
#include <belay/queue/file_system_like.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Makes a file under another name, and moves it to its own when it is on the medium.
template <class FileSystem>
class SegmentMaker {
public:
    using File = typename FileSystem::File;

    /// The file of a new segment, with its header and the kept note. Its name is not durable yet.
    ///
    /// `header.segment_bytes` and `made_bytes` become what they are. After an error there is no
    /// such file. Pre: nobody else makes a segment in this directory.   Throws: std::bad_alloc.
    static Result<File> make(FileSystem& fs, const std::string& directory,
                             journal_format::SegmentHeader& header, BytesView note,
                             std::size_t bytes) {
        const std::string unfinished =
            directory + '/' + std::string{journal_format::unfinished_name};
        const std::string path = directory + '/' + journal_format::segment_name(header.index);
        Result<File> file = write(fs, unfinished, header, note, bytes);
        std::error_code error = file.error();
        if (!error) error = fs.rename(unfinished, path);
        if (error) {
            static_cast<void>(fs.remove(unfinished));  // else the next opening removes it
            return error;
        }
        return file;
    }

private:
    static Result<File> write(FileSystem& fs, const std::string& path,
                              journal_format::SegmentHeader& header, BytesView note,
                              std::size_t bytes) {
        using namespace journal_format;
        Result<File> file = fs.open(path, OpenMode::replace);
        if (!file) return file;
        std::error_code error;
        header.segment_bytes = 0;
        header.made_bytes = segment_header_bytes;
        RecordBuffer record{record_bytes(note_bytes_max)};
        if (!note.empty()) {
            RecordHeader h;
            h.kind = Kind::note;
            record.put(h, note, crc32c(note), record_seed(header.nonce, header.run));
            header.made_bytes += static_cast<std::uint32_t>(record.size());
        }
        if constexpr (FileCanPreallocate<File>) {
            error = file->preallocate(bytes);
            header.segment_bytes = static_cast<std::uint32_t>(bytes);
        }
        if (!error) error = file->write(0, encode(header));
        if (!error && !note.empty()) error = file->write(segment_header_bytes, record.bytes());
        if (!error) error = file->sync();
        if (error) return error;
        return file;
    }
};

}  // namespace belay::inline BELAY_ABI::detail
