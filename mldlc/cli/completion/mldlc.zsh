# Tab completion of mldlc for zsh: eval "$(mldlc completion zsh)" after compinit
_mldlc() {
    local -a answers open whole
    answers=("${(@f)$("${words[1]}" completion --answer zsh "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    open=(${(M)answers:#*[=./,:]})
    whole=(${answers:#*[=./,:]})
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#whole} )) && compadd -- "${whole[@]}"
}
compdef _mldlc mldlc
