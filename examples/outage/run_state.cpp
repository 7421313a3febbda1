// SPDX-License-Identifier: MIT
#include "run_state.hpp"

#include <sstream>

#include "files.hpp"
#include "rejection.hpp"

namespace outage {

std::optional<RunState> RunState::load(const std::string& directory) {
    const std::string path = directory + "/run.txt";
    if (!exists(path)) return std::nullopt;
    std::istringstream text{read_file(path)};
    RunState s;
    std::string words[7];
    text >> words[0] >> s.checksum >> words[1] >> s.seed >> words[2] >> s.done.kills >> words[3] >>
        s.done.freezes >> words[4] >> s.done.client_kills >> words[5] >> s.finished >> words[6];
    text.get();
    std::getline(text, s.file);
    if (!text || words[0] != "checksum" || words[6] != "file") {
        throw Rejection{path + " is damaged; delete the directory, or choose another --dir"};
    }
    return s;
}

void RunState::save(const std::string& directory) const {
    std::ostringstream text;
    text << "checksum " << checksum << "\nseed " << seed << "\nkills " << done.kills << "\nfreezes "
         << done.freezes << "\nclient-kills " << done.client_kills << "\nfinished " << finished
         << "\nfile " << file << "\n";
    const std::string path = directory + "/run.txt";
    if (const std::error_code e = replace_file(path, text.str())) {
        throw Rejection{trouble("write", path, e)};
    }
}

}  // namespace outage
