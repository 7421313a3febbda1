// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <nlohmann/json.hpp>

int main() { return nlohmann::json::parse("[1]").size() == 1 ? 0 : 1; }
