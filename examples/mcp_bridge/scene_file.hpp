// SPDX-License-Identifier: MIT
// The local side of the bridge: one session, whose scene is a file.
#pragma once

#include <belay/adapter/nlohmann_json.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/scene.hpp>

#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <vector>

inline belay::Id random_id() {
    std::random_device device;
    belay::Id id;
    for (std::byte& b : id) b = static_cast<std::byte>(device());
    return id;
}

/// The file is {"content": ...}, which anything may edit; stamp and mark are written beside it. The
/// mark is the content's hash: without its own mark a content is an edit, also of yesterday.
struct SceneFile {
    using content_type = nlohmann::json;
    using Scene = belay::Scene<content_type>;
    std::string path, session;
    belay::HybridClock<> clock{random_id()};
    std::optional<Scene> scene{};

    std::vector<std::string> sessions() { return {session}; }
    belay::Result<std::optional<Scene>> read(std::string_view) { return scene; }
    std::error_code apply(std::string_view, const Scene& newer, belay::Origin) {
        clock.saw(newer.stamp);
        return write(newer);
    }

    /// Whether somebody has edited the file since it was looked at last.
    bool edited() {
        const auto document = content_type::parse(std::ifstream{path}, nullptr, false);
        // An editor may not be done with it.
        if (!document.is_object() || !document.contains("content")) return false;
        const content_type& content = document["content"];
        if (scene && scene->content == content) return false;
        if (!scene && document.value("mark", content_type{}) == content_hash(content)) {
            scene = document.get<Scene>();
            return clock.saw(scene->stamp), false;
        }
        return !write({content, clock.stamp()});
    }

private:
    std::error_code write(const Scene& next) {
        content_type document = next;
        document["mark"] = content_hash(next.content);
        std::ofstream out{path + ".new"};
        if (!(out << document.dump(2) << std::endl)) {
            return std::make_error_code(std::errc::io_error);
        }
        std::error_code error;
        std::filesystem::rename(path + ".new", path, error);
        if (!error) scene = next;
        return error;
    }
};
