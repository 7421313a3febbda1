// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_files.hpp
/// SegmentFiles: makes segment files so that one that has its name is whole, and deletes them.
#pragma once

#include <string>  // std::string

#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/file_system_like.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Makes a file under another name, and moves it to its own when it is on the medium. Deletes none
/// that is not the journal's.
template <class FileSystem>
class SegmentFiles {
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

    /// Deletes the file of segment `first`, durably; `last` is the one that is written to.
    static std::error_code remove(FileSystem& fs, const std::string& directory,
                                  const journal_format::SegmentHeader& first,
                                  const journal_format::SegmentHeader& last) {
        std::error_code error = find(fs, directory, first);
        if (!error) {
            error = fs.remove(directory + '/' + journal_format::segment_name(first.index));
        } else if (error == std::errc::no_such_file_or_directory) {
            // Gone already, and only the next step failed the last time; if not all are.
            error = find(fs, directory, last);
        }
        return error ? error : fs.sync_directory(directory);
    }

    /// No error if the file that has a segment's name is that segment, damaged or not: another
    /// directory, and another journal, may have come to the path of the one that is open.
    static std::error_code find(FileSystem& fs, const std::string& directory,
                                const journal_format::SegmentHeader& header) {
        using namespace journal_format;
        const Result<File> file =
            fs.open(directory + '/' + segment_name(header.index), OpenMode::read);
        if (!file) return file.error();
        SegmentHeaderBytes bytes{};
        const Result<std::size_t> got = file->read(0, bytes);
        if (!got) return got.error();
        const Result<SegmentHeader> there = decode_segment_header({bytes.data(), *got});
        const bool same = there ? *there == header : there.error() == QueueErrc::corrupt;
        return same ? std::error_code{} : make_error_code(QueueErrc::foreign_file);
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
