// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <curl/curl.h>

int main() { return curl_version() != nullptr ? 0 : 1; }
