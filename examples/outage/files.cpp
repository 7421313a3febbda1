// SPDX-License-Identifier: MIT
#include "files.hpp"

#include <span>

#include "rejection.hpp"

namespace outage {

namespace {

std::string_view advice(const std::error_code& error) {
    if (error == std::errc::permission_denied || error == std::errc::read_only_file_system) {
        return "; give this user the permission, or choose another path";
    }
    if (error == std::errc::no_such_file_or_directory) return "; check the path";
    if (error == std::errc::is_a_directory) return "; name a file";
    if (error == std::errc::not_a_directory || error == std::errc::file_exists) {
        return "; name a directory";
    }
    if (error == std::errc::no_space_on_device || error == std::errc::file_too_large) {
        return "; free some space (or raise the limit of file sizes) and run it again: nothing is "
               "lost";
    }
    return "";
}

}  // namespace

std::string trouble(std::string_view what, const std::string& path, const std::error_code& error) {
    return "cannot " + std::string{what} + " " + path + ": " + error.message() +
           std::string{advice(error)};
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == path.npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string read_file(const std::string& path) {
    const auto file = files.open(path, belay::OpenMode::read);
    if (!file) throw Rejection{trouble("read", path, file.error())};
    std::string text;
    // Not by its size: pipes and /proc have none.
    for (std::size_t chunk = std::size_t{64} << 10U;; chunk *= 2) {
        const std::size_t had = text.size();
        text.resize(had + chunk);
        const std::span<char> room{text.data() + had, chunk};
        const auto got = file->read(had, std::as_writable_bytes(room));
        if (!got) throw Rejection{trouble("read", path, got.error())};
        text.resize(had + *got);
        if (*got < chunk) return text;
    }
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void make_directories(const std::string& path) {
    const std::string above = directory_of(path);
    if (!exists(above)) make_directories(above);
    const bool is_new = !exists(path);
    std::error_code error = files.create_directory(path);
    // A loss of power may take a directory whose name was not synced, with everything in it.
    if (!error && is_new) error = files.sync_directory(above);
    if (error) throw Rejection{trouble("make the directory", path, error)};
}

std::error_code replace_file(const std::string& path, std::string_view text) {
    const std::string fresh = path + ".new";
    {
        auto file = files.open(fresh, belay::OpenMode::replace);
        if (!file) return file.error();
        if (const std::error_code e = file->write(0, belay::as_bytes(text))) return e;
        if (const std::error_code e = file->sync()) return e;
    }
    if (const std::error_code e = files.rename(fresh, path)) return e;
    return files.sync_directory(directory_of(path));
}

std::string to_hex(const belay::Id& id) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte b : id) {
        text += digits[std::to_integer<unsigned>(b) >> 4U];
        text += digits[std::to_integer<unsigned>(b) & 15U];
    }
    return text;
}

bool from_hex(std::string_view text, belay::Id& id) {
    if (text.size() != 2 * id.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::size_t digit = std::string_view{"0123456789abcdef"}.find(text[i]);
        if (digit == text.npos) return false;
        const auto low = static_cast<std::byte>(digit);
        id[i / 2] = i % 2 == 0 ? low << 4 : id[i / 2] | low;
    }
    return true;
}

}  // namespace outage
