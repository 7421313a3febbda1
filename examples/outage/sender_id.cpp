// SPDX-License-Identifier: MIT
#include "sender_id.hpp"

#include "files.hpp"
#include "rejection.hpp"

namespace outage {

belay::Id sender_id(const std::string& directory) {
    make_directories(directory);
    const std::string path = directory + "/sender.txt";
    belay::Id id{};
    if (exists(path)) {
        std::string text = read_file(path);
        if (!text.empty() && text.back() == '\n') text.pop_back();
        if (from_hex(text, id) && id != belay::no_id) return id;
        throw Rejection{path +
                        ": this is not a sender id (32 hexadecimal digits); restore the file "
                        "from a backup, or choose another --dir"};
    }
    belay::Random bits{belay::Seed{belay::entropy()}};
    id = belay::make_id(bits);
    // Durable before it is used: the server's ledger belongs to this id for ever.
    if (const std::error_code e = replace_file(path, to_hex(id) + "\n")) {
        throw Rejection{trouble("write", path, e)};
    }
    return id;
}

}  // namespace outage
