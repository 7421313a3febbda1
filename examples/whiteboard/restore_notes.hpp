// SPDX-License-Identifier: MIT
// Notes in a file which boards are being restored, so that the next start of a server that ended
// meanwhile can report them.
#pragma once

#include <belay/core/result.hpp>

#include <cerrno>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

/// The restores that have begun and are not confirmed, in a file of the server's folder. A server
/// that ends in the middle of one, even by a loss of power, thus finds it at its next start.
class RestoreNotes {
public:
    struct Note {
        std::string board;
        std::string folder;  ///< of the copy
    };

    explicit RestoreNotes(const std::string& data) : folder_{data}, path_{data + "/restoring"} {}

    /// Returns the notes, or the reason why the file cannot be read. Without a file there are none.
    [[nodiscard]] belay::Result<std::vector<Note>> all() const {
        std::vector<Note> notes;
        const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0 && errno == ENOENT) return notes;
        if (file < 0) return last_error();
        std::string text;
        char part[4096];
        ssize_t got = 0;
        while ((got = ::read(file, part, sizeof part)) > 0)
            text.append(part, static_cast<std::size_t>(got));
        const std::error_code error = got < 0 ? last_error() : std::error_code{};
        ::close(file);
        if (error) return error;
        std::istringstream lines{text};
        Note note;
        while (std::getline(lines, note.board, '\t') && std::getline(lines, note.folder))
            notes.push_back(note);
        return notes;
    }
    /// Notes a restore durably.   Returns: or the reason why not.
    [[nodiscard]] std::error_code add(const Note& note) const {
        return replace(note.board, {note});
    }
    /// Removes the note of a board that was restored.
    /// Returns: or the reason why not. Then the next start reports a restore that has ended.
    [[nodiscard]] std::error_code remove(const std::string& board) const {
        return replace(board, {});
    }

private:
    [[nodiscard]] static std::error_code last_error() noexcept {
        return {errno, std::generic_category()};
    }
    /// Writes all notes, but `added` instead of those of `board`.
    [[nodiscard]] std::error_code replace(const std::string& board,
                                          const std::vector<Note>& added) const {
        auto notes = all();
        if (!notes) return notes.error();
        std::erase_if(*notes, [&](const Note& one) { return one.board == board; });
        notes->insert(notes->end(), added.begin(), added.end());
        std::string text;
        for (const Note& one : *notes) text += one.board + "\t" + one.folder + "\n";
        const std::string next = path_ + ".new";
        if (const std::error_code error = write(next, text)) return error;
        if (::rename(next.c_str(), path_.c_str()) != 0) return last_error();
        const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) return last_error();
        const std::error_code error = ::fsync(folder) != 0 ? last_error() : std::error_code{};
        ::close(folder);
        return error;
    }
    [[nodiscard]] static std::error_code write(const std::string& path, std::string_view text) {
        const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file < 0) return last_error();
        const ssize_t written = ::write(file, text.data(), text.size());
        std::error_code error;
        if (written < 0)
            error = last_error();
        else if (static_cast<std::size_t>(written) != text.size())
            error = {ENOSPC, std::generic_category()};  // a short write sets no errno
        else if (::fsync(file) != 0)
            error = last_error();
        ::close(file);
        return error;
    }

    std::string folder_;
    std::string path_;
};
