// SPDX-License-Identifier: MIT
// The local side of the bridge: one session, whose scene is a file.
#pragma once

#include <belay/json/sync.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/scene.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

inline belay::Id random_id() {
    std::random_device device;
    belay::Id id;
    for (std::byte& b : id) b = static_cast<std::byte>(device());
    return id;
}

/// The file is {"content": ...}, which anything may edit. The example adds the stamp, a mark and the
/// base. The mark is the hash of the content: a content with another hash is an edit, also one made
/// between two runs. The base is the scene that both sides last had.
struct SceneFile {
    using content_type = nlohmann::json;
    using Scene = belay::Scene<content_type>;
    using Base = belay::part::SceneBase;
    std::string path, session;
    belay::HybridClock<> clock{random_id()};
    std::optional<Scene> scene{};
    std::optional<Base> base{};
    /// The stamp that an earlier run has written.
    belay::Stamp before{};
    bool readable = true;
    /// The text of the file at the last look.
    std::string seen{};
    /// The file system cannot exchange files. This is reported once.
    bool unsupported = false;

    std::vector<std::string> sessions() { return {session}; }
    belay::Result<std::optional<Scene>> read(std::string_view) { return scene; }
    std::error_code apply(std::string_view, const Scene& newer, belay::Origin) {
        // Never over a file that cannot be read; replace() sees what was edited since the last look.
        if (!readable) return std::make_error_code(std::errc::device_or_resource_busy);
        return write(newer, base);
    }
    belay::Result<std::optional<Base>> stored_base(std::string_view) { return base; }
    std::error_code store_base(std::string_view, const Base& next) {
        if (!scene) return base = next, std::error_code{};
        if (!readable) return std::make_error_code(std::errc::device_or_resource_busy);
        return write(*scene, next);
    }

    /// Looks at the file.   Returns: whether its content is another one than before.
    bool edited() {
        seen = text_of(path);
        const bool missing = seen.empty() && !std::filesystem::exists(path);
        if (missing) scene.reset();
        const auto document = content_type::parse(seen, nullptr, false);
        // The parser ignores a text behind a NUL byte.
        const bool is_whole = seen.find('\0') == std::string::npos;
        readable = missing || (is_whole && document.is_object() && document.contains("content"));
        if (missing || !readable)
            return false;  // the file is missing, or an editor is still writing
        const content_type& content = document["content"];
        if (scene && scene->content == content) return false;
        if (!scene && !recall(document)) return readable = false;
        if (!scene && document.value("mark", content_type{}) == content_hash(content)) {
            scene = {content, before};
            return false;
        }
        const auto stamp = clock.stamp_above(scene ? scene->stamp : before);
        return stamp && !write({content, *stamp}, base);
    }

    /// Puts `text` in place of the text that edited() saw.   Errors: device_or_resource_busy if the
    /// file was edited since; the last edit is in the place then.
    std::error_code replace(std::string text) {
        const std::string other = path + ".new";
        if (!(std::ofstream{other} << text << std::flush) || !flush(other)) {
            return std::make_error_code(std::errc::io_error);
        }
        // An editor may save at any time; each exchange shows which text was in the place.
        std::string expected = seen;
        for (bool first = true;; first = false) {
            if (const std::error_code error = exchange(other)) return error;
            std::string taken = text_of(other);
            if (taken == expected) {
                std::filesystem::remove(other);
                if (!first) return std::make_error_code(std::errc::device_or_resource_busy);
                return seen = std::move(text), std::error_code{};
            }
            expected = std::exchange(text, std::move(taken));
        }
    }

private:
    static std::string text_of(const std::string& file) {
        std::ostringstream text;
        text << std::ifstream{file}.rdbuf();
        return text.str();
    }
    /// Exchanges the two files in one step; a missing file at `path` is created.
    std::error_code exchange(const std::string& other) {
        const unsigned flags = seen.empty() ? RENAME_NOREPLACE : RENAME_EXCHANGE;
        if (::renameat2(AT_FDCWD, other.c_str(), AT_FDCWD, path.c_str(), flags) == 0) return {};
        const int error = errno;
        if ((error == EINVAL || error == ENOSYS) && !std::exchange(unsupported, true)) {
            std::cerr << path << ": this file system cannot exchange two files in one step"
                      << " (renameat2); use a file on ext4, xfs, btrfs or tmpfs\n";
        }
        return {error, std::generic_category()};
    }
    /// Takes what an earlier run has written. A file without that is a first edit.
    bool recall(const content_type& document) try {
        before = document.value("stamp", belay::Stamp{});
        clock.saw(before);
        if (document.contains("base")) {
            const content_type& of = document["base"];
            base = {of.at("stamp").get<belay::Stamp>(), of.at("hash")};
            const bool made_here = of.value("made_here", false);
            if (of.contains("made_here"))
                base->made_by = made_here ? belay::Origin::local : belay::Origin::remote;
        }
        return true;
    } catch (const content_type::exception&) {
        return false;
    }
    std::error_code write(const Scene& next, const std::optional<Base>& with) {
        content_type document = next;
        document["mark"] = content_hash(next.content);
        if (with) {
            document["base"] = {{"stamp", with->stamp}, {"hash", with->hash}};
            if (with->made_by)
                document["base"]["made_here"] = with->made_by == belay::Origin::local;
        }
        const std::error_code error = replace(document.dump(2) + '\n');
        if (!error) scene = next, base = with;
        return error;
    }
    /// Makes a file survive a power cut.
    static bool flush(const std::string& file) {
        const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        const bool done = fd >= 0 && ::fsync(fd) == 0;
        if (fd >= 0) ::close(fd);
        return done;
    }
};
