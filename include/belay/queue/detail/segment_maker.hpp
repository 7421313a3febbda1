// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/segment_maker.hpp
/// SegmentMaker: makes segment files so that one that has its name is whole.
#pragma once

#include <string>  // std::string

#include <belay/queue/file_system_like.hpp>
#include <belay/queue/journal_format.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Makes a file under another name, and moves it to its own when it is on the medium.
template <class FileSystem>
class SegmentMaker {
public:
    using File = typename FileSystem::File;

    /// The file of a new segment, with its header. Its name is not durable yet.
    ///
    /// `header.segment_bytes` becomes what was reserved. After an error there is no such file.
    /// Pre: nobody else makes a segment in this directory.   Throws: std::bad_alloc.
    static Result<File> make(FileSystem& fs, const std::string& directory,
                             journal_format::SegmentHeader& header, std::size_t bytes) {
        const std::string unfinished =
            directory + '/' + std::string{journal_format::unfinished_name};
        const std::string path = directory + '/' + journal_format::segment_name(header.index);
        Result<File> file = write(fs, unfinished, header, bytes);
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
                              journal_format::SegmentHeader& header, std::size_t bytes) {
        Result<File> file = fs.open(path, OpenMode::replace);
        if (!file) return file;
        std::error_code error;
        header.segment_bytes = 0;
        if constexpr (FileCanPreallocate<File>) {
            error = file->preallocate(bytes);
            header.segment_bytes = static_cast<std::uint32_t>(bytes);
        }
        if (!error) error = file->write(0, journal_format::encode(header));
        if (!error) error = file->sync();
        if (error) return error;
        return file;
    }
};

}  // namespace belay::inline BELAY_ABI::detail
